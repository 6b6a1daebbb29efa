# Write classic data sets of the R package survival, and what it finds in them: Rscript fit_survival.R <folder>
library(survival)

folder <- commandArgs(trailingOnly = TRUE)[1]
dir.create(folder, showWarnings = FALSE, recursive = TRUE)
write_tsv <- function(table, name) {
  write.table(table, file.path(folder, name), sep = "\t", quote = FALSE, row.names = FALSE, na = "")
}
expected <- data.frame()
add <- function(data, what, values) {
  values <- unlist(values)
  keys <- if (is.null(names(values))) seq_along(values) else names(values)
  rows <- data.frame(data = data, what = what, key = keys, value = format(unname(values), digits = 10, trim = TRUE))
  expected <<- rbind(expected, rows)
}

trial <- subset(pbc, !is.na(trt))
sets <- list(
  lung = data.frame(time = lung$time, event = lung$status - 1, age = lung$age, sex = lung$sex, ecog = lung$ph.ecog),
  ovarian = data.frame(
    time = ovarian$futime, event = ovarian$fustat, age = ovarian$age, rx = ovarian$rx, residual = ovarian$resid.ds
  ),
  veteran = data.frame(
    time = veteran$time, event = veteran$status, trt = veteran$trt, karno = veteran$karno,
    celltype = as.character(veteran$celltype)
  ),
  # As survRM2 prepares it: death alone is an event, times in years.
  pbc = data.frame(time = trial$time / 365.25, event = as.integer(trial$status == 2), arm = as.integer(trial$trt == 1)),
  # Heart transplants: a patient who got one has a row before it and a row after it.
  heart = data.frame(
    start = heart$start, time = heart$stop, event = heart$event, age = heart$age, year = heart$year,
    surgery = heart$surgery, transplant = as.integer(heart$transplant) - 1
  )
)
for (name in names(sets)) write_tsv(sets[[name]], paste0(name, ".tsv"))

# Kaplan-Meier: medians with Brookmeyer-Crowley intervals and survival, both on the log-log scale.
curve <- function(data, name, group, times) {
  for (value in sort(unique(data[[group]]))) {
    own <- data[data[[group]] == value, ]
    fit <- survfit(Surv(time, event) ~ 1, own, conf.type = "log-log")
    found <- summary(fit)$table
    add(name, paste0("median_", group, value), found[c("median", "0.95LCL", "0.95UCL")])
    at <- summary(fit, times = times)
    for (i in seq_along(times)) {
      add(name, paste0("survival_", group, value, "_", times[i]), c(estimate = at$surv[i], low = at$lower[i], high = at$upper[i]))
    }
  }
}
curve(sets$lung, "lung", "sex", c(180, 365))
curve(sets$ovarian, "ovarian", "rx", c(365))
curve(sets$veteran, "veteran", "trt", c(90, 180))

test <- function(name, what, formula) {
  fit <- survdiff(formula, sets[[name]])
  add(name, what, c(statistic = fit$chisq, p = fit$pvalue))
}
test("lung", "log_rank", Surv(time, event) ~ sex)
test("lung", "log_rank_strata_ecog", Surv(time, event) ~ sex + strata(ecog))
test("ovarian", "log_rank", Surv(time, event) ~ rx)
test("veteran", "log_rank", Surv(time, event) ~ trt)
test("veteran", "log_rank_strata_celltype", Surv(time, event) ~ trt + strata(celltype))

cox <- function(name, what, formula) {
  # cox.zph looks the data up again, in the global environment.
  current <<- sets[[name]]
  fit <- coxph(formula, current)
  add(name, what, c(coef = coef(fit), se = sqrt(diag(vcov(fit)))))
  if (length(coef(fit)) == 1) add(name, paste0(what, "_zph"), c(p = cox.zph(fit)$table[1, "p"]))
}
cox("lung", "cox_age_sex_ecog", Surv(time, event) ~ age + sex + ecog)
cox("lung", "cox_sex", Surv(time, event) ~ sex)
cox("lung", "cox_sex_strata_ecog", Surv(time, event) ~ sex + strata(ecog))
cox("ovarian", "cox_age", Surv(time, event) ~ age)
cox("ovarian", "cox_rx_strata_residual", Surv(time, event) ~ rx + strata(residual))
cox("veteran", "cox_trt", Surv(time, event) ~ trt)
cox("veteran", "cox_karno", Surv(time, event) ~ karno)
cox("veteran", "cox_trt_strata_celltype", Surv(time, event) ~ trt + strata(celltype))

# A covariate that changes over time: rows from start to stop.
cox("heart", "cox_age_year_surgery_transplant", Surv(start, time, event) ~ age + year + surgery + transplant)
cox("heart", "cox_transplant", Surv(start, time, event) ~ transplant)
cox("heart", "cox_transplant_strata_surgery", Surv(start, time, event) ~ transplant + strata(surgery))

# Interaction of treatment and cell type, each type with a baseline hazard of its own.
one <- coxph(Surv(time, event) ~ trt + strata(celltype), sets$veteran)
all <- coxph(Surv(time, event) ~ trt * strata(celltype), sets$veteran)
add("veteran", "interaction_trt_celltype", c(p = pchisq(2 * (all$loglik[2] - one$loglik[2]), 3, lower.tail = FALSE)))

# Firth: the likelihood and the information are those of coxph at fixed coefficients; the rest is one line.
penalised <- function(beta, formula, data) {
  fit <- coxph(formula, data, init = beta, iter.max = 0)
  fit$loglik[2] - 0.5 * as.numeric(determinant(vcov(fit))$modulus)
}
firth <- function(name, what, formula, data = sets[[name]]) {
  fall <- function(beta) -penalised(beta, formula, data)
  best <- optimize(fall, c(-8, 8), tol = 1e-9)
  bound <- function(beta) best$objective + qchisq(0.95, 1) / 2 - fall(beta)
  low <- uniroot(bound, c(-15, best$minimum), tol = 1e-9)$root
  high <- uniroot(bound, c(best$minimum, 15), tol = 1e-9)$root
  p <- pchisq(2 * (fall(0) - best$objective), 1, lower.tail = FALSE)
  add(name, what, c(coef = best$minimum, low = low, high = high, p = p))
}
firth("ovarian", "firth_rx", Surv(time, event) ~ rx)
firth("ovarian", "firth_rx_strata_residual", Surv(time, event) ~ rx + strata(residual))
# Within 330 days nobody of the second arm died: the partial likelihood has no maximum.
early <- transform(ovarian, event = fustat * (futime <= 330), time = pmin(futime, 330))
stopifnot(all(early$rx[early$event == 1] == 1))
firth("ovarian", "firth_rx_330_days", Surv(time, event) ~ rx, early)
firth("veteran", "firth_trt", Surv(time, event) ~ trt)
firth("heart", "firth_transplant", Surv(start, time, event) ~ transplant)

# Restricted means to ten years.
for (arm in c(1, 0)) {
  fit <- survfit(Surv(time, event) ~ 1, sets$pbc[sets$pbc$arm == arm, ])
  found <- summary(fit, rmean = 10)$table
  add("pbc", paste0("restricted_mean_arm", arm), c(time = found[["rmean"]], error = found[["se(rmean)"]]))
}
write_tsv(expected, "expected.tsv")
versions <- c(R = R.version.string, survival = as.character(packageVersion("survival")))
write_tsv(data.frame(name = names(versions), version = versions), "versions.tsv")
