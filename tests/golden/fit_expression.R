# Fit the models of R that the comparison of expression is held against, and write their results as small tables. See
# README.md beside this file. Genes are those with 10 counts at the median depth in a quarter of the samples; libraries are scaled
# by TMM over them.

suppressPackageStartupMessages({
  library(edgeR)
  library(limma)
  library(DESeq2)
  library(jsonlite)
})

folders <- commandArgs(trailingOnly = TRUE)
inputs <- folders[1]
outputs <- folders[2]
PRIOR_COUNT <- 2
TOP <- 100

read_counts <- function(name) {
  as.matrix(read.delim(file.path(inputs, name), row.names = 1, check.names = FALSE))
}

read_samples <- function(name) read.delim(file.path(inputs, name), colClasses = "character")

write_table <- function(table, name) {
  numbers <- vapply(table, is.numeric, logical(1))
  table[numbers] <- lapply(table[numbers], signif, digits = 10)
  write.table(table, file.path(outputs, name), sep = "\t", quote = FALSE, row.names = FALSE)
}

expressed <- function(counts) {
  depth <- colSums(counts)
  rates <- sweep(counts, 2, depth, "/")
  rowSums(rates >= 10 / median(depth)) >= max(1, 0.25 * ncol(counts))
}

scaled_sums <- function(counts) {
  sums <- DGEList(counts = counts)
  sums <- sums[expressed(counts), , keep.lib.sizes = TRUE]
  calcNormFactors(sums, method = "TMM")
}

# edgeR User's Guide, section 3.5: patients numbered within groups; columns of patients that a group lacks are empty.
nested_design <- function(samples) {
  response <- factor(samples$response, levels = c("non_responder", "responder"))
  visit <- factor(samples$visit, levels = c("before", "after"))
  number <- ave(as.integer(factor(samples$patient)), response, FUN = function(x) match(x, unique(x)))
  patient <- factor(number)
  design <- model.matrix(~ response + response:patient + response:visit)
  design <- design[, colSums(design != 0) > 0]
  stopifnot(qr(design)$rank == ncol(design))
  design
}

fit_edger <- function(sums, design, contrast) {
  sums <- estimateDisp(sums, design)
  found <- glmQLFTest(glmQLFit(sums, design), contrast = contrast)$table
  data.frame(gene = rownames(found), log2_fold = found$logFC, F = found$F, p = found$PValue)
}

fit_voom <- function(sums, design, contrast) {
  fit <- eBayes(contrasts.fit(lmFit(voom(sums, design), design), contrast))
  data.frame(gene = rownames(fit), log2_fold = fit$coefficients[, 1], t = fit$t[, 1], p = fit$p.value[, 1])
}

fit_deseq2 <- function(counts, kept, design, contrast) {
  colnames(design) <- paste0("c", seq_len(ncol(design)))
  data <- DESeqDataSetFromMatrix(counts, data.frame(row.names = colnames(counts), at = seq_len(ncol(counts))), ~1)
  data <- estimateSizeFactors(data)[kept, ]
  data <- nbinomWaldTest(estimateDispersions(data, modelMatrix = design, quiet = TRUE), modelMatrix = design,
                         quiet = TRUE)
  found <- results(data, contrast = contrast, independentFiltering = FALSE, cooksCutoff = FALSE)
  data.frame(gene = rownames(found), log2_fold = found$log2FoldChange, se = found$lfcSE, p = found$pvalue)
}

# One number per patient and gene: the change of log counts per million.
changes_of <- function(sums, samples) {
  logs <- cpm(sums, log = TRUE, prior.count = PRIOR_COUNT)
  before <- samples[samples$visit == "before", ]
  after <- samples[samples$visit == "after", ]
  after <- after[match(before$patient, after$patient), ]
  list(values = logs[, after$sample] - logs[, before$sample], response = before$response)
}

first_of <- function(table) table[order(table$p), ][seq_len(min(TOP, nrow(table))), ]

fit_simulated <- function() {
  counts <- read_counts("simulated_counts.tsv")
  samples <- read_samples("simulated_samples.tsv")
  stopifnot(identical(colnames(counts), samples$sample))
  sums <- scaled_sums(counts)
  design <- nested_design(samples)
  names <- colnames(design)
  contrast <- (names == "responseresponder:visitafter") - (names == "responsenon_responder:visitafter")
  stopifnot(sum(abs(contrast)) == 2)
  write_table(first_of(fit_edger(sums, design, contrast)), "edger.tsv")
  write_table(first_of(fit_voom(sums, design, contrast)), "voom.tsv")
  write_table(first_of(fit_deseq2(counts, expressed(counts), design, contrast)), "deseq2.tsv")

  changes <- changes_of(sums, samples)
  groups <- cbind(1, changes$response == "responder")
  fit <- eBayes(lmFit(changes$values, groups))
  write_table(
    data.frame(gene = rownames(fit), effect = fit$coefficients[, 2], t = fit$t[, 2], p = fit$p.value[, 2],
               df = fit$df.total),
    "limma_moderated_t.tsv"
  )
  sets <- read.delim(file.path(inputs, "simulated_sets.tsv"))
  members <- ids2indices(lapply(split(sets$gene, sets$set), as.character), rownames(changes$values))
  set.seed(1)
  rotated <- fry(changes$values, members, groups, contrast = 2, sort = FALSE)
  competitive <- camera(changes$values, members, groups, contrast = 2, inter.gene.cor = NA, sort = FALSE)
  write_table(
    data.frame(set = rownames(rotated), genes = rotated$NGenes, fry_direction = rotated$Direction,
               fry_p = rotated$PValue, camera_direction = competitive[rownames(rotated), "Direction"],
               camera_p = competitive[rownames(rotated), "PValue"]),
    "gene_sets.tsv"
  )
}

fit_kang <- function() {
  counts <- read_counts("kang_counts.tsv")
  samples <- read_samples("kang_samples.tsv")
  found <- lapply(unique(samples$subset), function(subset) {
    own <- samples[samples$subset == subset, ]
    sums <- scaled_sums(counts[, own$profile])
    visit <- factor(own$visit, levels = c("ctrl", "stim"))
    design <- model.matrix(~ factor(own$patient) + visit)
    contrast <- as.numeric(colnames(design) == "visitstim")
    edger <- fit_edger(sums, design, contrast)
    voom <- fit_voom(sums, design, contrast)
    stopifnot(identical(edger$gene, voom$gene))
    table <- data.frame(subset = subset, gene = edger$gene, edger_fold = edger$log2_fold, edger_p = edger$p,
                        voom_fold = voom$log2_fold, voom_p = voom$p)
    table[rank(table$edger_p) <= TOP | rank(table$voom_p) <= TOP, ]
  })
  write_table(do.call(rbind, found), "kang.tsv")
}

fit_simulated()
fit_kang()
files <- c("simulated_counts.tsv", "simulated_samples.tsv", "simulated_sets.tsv", "kang_counts.tsv", "kang_samples.tsv")
versions <- lapply(c(edgeR = "edgeR", limma = "limma", DESeq2 = "DESeq2"), function(name) {
  as.character(packageVersion(name))
})
facts <- list(
  versions = c(list(R = paste(R.version$major, R.version$minor, sep = ".")), versions),
  inputs_md5 = as.list(setNames(unname(tools::md5sum(file.path(inputs, files))), files))
)
simulated <- files[startsWith(files, "simulated_")]
stopifnot(file.copy(file.path(inputs, simulated), outputs, overwrite = TRUE))
write(toJSON(facts, auto_unbox = TRUE, pretty = 2), file.path(outputs, "facts.json"))
