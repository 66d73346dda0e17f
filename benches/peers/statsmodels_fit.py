"""Times the fit of the study's pooled law by statsmodels: the same rows, terms and covariances as the bench `fit`.

It prints the median of its repeats in seconds for two ways to do it, and what it found on standard error:

  arrays   the design matrix is there already; ordinary least squares, HC0 to HC3, cluster-robust by configuration
           family, p-values and intervals, variance inflation and condition number;
  formula  the same from the table of columns, the formula being read and coded on the way, as `ScalingLaw::fit` does.

Usage:    python benches/peers/statsmodels_fit.py ../shared/data/multi_gpu_2026/runs.csv
Needs:    benches/peers/requirements-statsmodels.txt
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.stats.outliers_influence import variance_inflation_factor

NUMBERS = ["log_C", "log_M", "log_eta"]
FAMILY_KEY = ["gpu", "family", "max_seq_len", "batch_size", "seq_len", "grad_accum", "layers", "hidden_size", "heads",
              "ffn_size", "task", "precision"]
REPEATS = 30


def pooled(path):
    runs = pd.read_csv(path)
    runs = runs[runs.strategy.isin(["baseline", "fsdp"])].reset_index(drop=True)
    table = pd.DataFrame({
        "log_E": np.log(runs.energy_kwh),
        "log_C": np.log(20.0 * runs.layers * runs.hidden_size**2.0 * runs.tokens),
        "log_M": np.log(runs.memory_proxy),
        "log_eta": np.log(runs.baseline_duration_s / (runs.duration_s * runs.gpus)),
        "strategy": runs.strategy,
        "family": runs.family,
    })
    for name in NUMBERS:
        table[name] -= table[name].mean()
    clusters = runs[FAMILY_KEY].astype(str).agg("|".join, axis=1).astype("category").cat.codes.to_numpy()
    return table, clusters


def report(model, numbers, clusters):
    """What a table of the fit shows, so that nothing lazy is left out."""
    fit = model.fit()
    shown = [fit.params, fit.bse, fit.rsquared, fit.rsquared_adj, fit.HC0_se, fit.HC1_se, fit.HC2_se, fit.HC3_se]
    clustered = fit.get_robustcov_results("cluster", groups=clusters)
    shown += [clustered.bse, clustered.pvalues, clustered.conf_int(), clustered.cov_params()]
    with_constant = sm.add_constant(numbers)
    shown += [variance_inflation_factor(with_constant, i) for i in range(1, with_constant.shape[1])]
    shown += [np.linalg.cond(numbers / numbers.std(axis=0))]
    return fit, clustered, shown


def measure(what):
    times = []
    for _ in range(REPEATS + 3):
        begin = time.perf_counter()
        what()
        times.append(time.perf_counter() - begin)
    times = times[3:]  # the first calls import and compile
    return float(np.median(times))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    table, clusters = pooled(sys.argv[1])
    y = table.log_E.to_numpy()
    numbers = table[NUMBERS].to_numpy()
    x = np.column_stack([np.ones(len(y)), table.strategy == "fsdp", table.family == "gpt", numbers]).astype(float)
    formula = "log_E ~ strategy + family + log_C + log_M + log_eta"

    fit, clustered, _ = report(sm.OLS(y, x), numbers, clusters)
    print(f"statsmodels {statsmodels.__version__}, numpy {np.__version__}, pandas {pd.__version__}, "
          f"python {sys.version.split()[0]}; {len(y)} rows, {clusters.max() + 1} clusters", file=sys.stderr)
    terms = ["Intercept", "strategy[fsdp]", "family[gpt]", *NUMBERS]
    for term, estimate, error in zip(terms, fit.params, clustered.bse):
        print(f"{term}: {estimate:.6f} ± {error:.6f}", file=sys.stderr)
    for name, what in [
        ("arrays", lambda: report(sm.OLS(y, x), numbers, clusters)),
        ("formula", lambda: report(smf.ols(formula, table), numbers, clusters)),
    ]:
        print(f"statsmodels fit, {name}\t{measure(what):.4e}")


main()
