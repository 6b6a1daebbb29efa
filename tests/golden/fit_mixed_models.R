# Writes the samples of made-up patients, and mixed models of them as lme4 and pbkrtest have them.
# Rscript tests/golden/fit_mixed_models.R tests/golden/mixed_models
# Needs the Debian packages r-cran-lme4 and r-cran-pbkrtest; the versions used are written into the table.
suppressMessages({
  library(lme4)
  library(pbkrtest)
})
folder <- commandArgs(trailingOnly = TRUE)[1]
dir.create(folder, showWarnings = FALSE)
set.seed(613)

# One row per patient and visit, of which some are missing; centred takes a part of their means out of the patients.
draw <- function(name, first, second, visits, between, within, missing, covariate = FALSE, centred = 0) {
  patients <- first + second
  rows <- expand.grid(visit = seq_len(visits), patient = seq_len(patients))
  rows$group <- ifelse(rows$patient <= first, 1, 0)
  age <- round(rnorm(patients), 3)
  rows$covariate <- if (covariate) age[rows$patient] else 0
  noise <- rnorm(nrow(rows), sd = within)
  rows$y <- rnorm(patients, sd = between)[rows$patient] + noise - centred * ave(noise, rows$patient) +
    0.4 * rows$visit + 0.5 * rows$covariate + 0.6 * rows$group * (rows$visit == visits)
  rows <- rows[sort(sample(nrow(rows), nrow(rows) - missing)), ]
  rows$y <- round(rows$y, 4)
  cbind(dataset = name, rows[, c("patient", "group", "visit", "covariate", "y")])
}

input <- rbind(
  draw("complete", 6, 13, 3, 1.0, 0.7, 0),
  draw("gaps", 6, 13, 3, 1.0, 0.7, 11),
  draw("five_visits", 8, 9, 5, 0.6, 1.0, 22),
  draw("covariate", 7, 12, 4, 0.8, 0.8, 15, covariate = TRUE),
  draw("no_patient_variance", 6, 13, 3, 0.0, 1.0, 9, centred = 0.9)
)

# A search that ends where the likelihood does, not within its usual tolerance.
control <- lmerControl(
  optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6),
  check.conv.singular = "ignore"
)

fit_one <- function(rows) {
  rows$visit <- factor(rows$visit)
  covariate <- if (any(rows$covariate != 0)) "+ covariate" else ""
  full <- lmer(as.formula(paste("y ~ group * visit", covariate, "+ (1 | patient)")), rows, control = control)
  plain <- lmer(as.formula(paste("y ~ group + visit", covariate, "+ (1 | patient)")), rows, control = control)
  error <- sqrt(diag(as.matrix(vcovAdj(full))))
  names <- names(fixef(full))
  single <- do.call(rbind, lapply(grep("^group:visit", names), function(at) {
    row <- as.numeric(seq_along(names) == at)
    df <- Lb_ddf(row, vcov(full), vcovAdj(full))
    data.frame(
      term = sub("group:visit", "visit_", names[at]), estimate = fixef(full)[at], error = error[at], df = df,
      statistic = fixef(full)[at] / error[at], p = 2 * pt(-abs(fixef(full)[at] / error[at]), df)
    )
  }))
  joint <- KRmodcomp(full, plain)$test["Ftest", ]
  both <- data.frame(
    term = "interaction", estimate = NA, error = NA, df = joint$ddf, statistic = joint$stat, p = joint$p.value
  )
  variances <- as.data.frame(VarCorr(full))$vcov
  cbind(
    dataset = rows$dataset[1], rbind(single, both), between = variances[1], within = variances[2],
    r = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
    pbkrtest = as.character(packageVersion("pbkrtest"))
  )
}

write <- function(table, name) {
  numbers <- sapply(table, is.numeric)
  table[numbers] <- lapply(table[numbers], function(x) ifelse(is.na(x), "", format(x, digits = 10, trim = TRUE)))
  write.table(table, file.path(folder, name), sep = "\t", quote = FALSE, row.names = FALSE)
}

expected <- do.call(rbind, lapply(split(input, factor(input$dataset, unique(input$dataset))), fit_one))
write(input, "input.tsv")
write(expected, "expected.tsv")
