"""Makes ols.json: what statsmodels and scikit-learn give on synthetic tables.

Run with Python 3 and numpy, scipy, statsmodels and scikit-learn, versions as recorded in the output:

    python ols.py > ols.json

Design matrices are written out here by hand, so that their construction is tested as well.
"""

import json

import numpy as np
import scipy
import scipy.linalg
import scipy.stats
import sklearn
import statsmodels
import statsmodels.api as sm
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import OneHotEncoder
from statsmodels.stats.outliers_influence import variance_inflation_factor


def table(seed, n, noise):
    """A synthetic sweep: two proxies that go together, GPUs, strategies, groups down to one row."""
    rng = np.random.default_rng(seed)
    strategy = rng.choice(["baseline", "fsdp", "tp"], n, p=[0.3, 0.5, 0.2])
    gpu = rng.choice(["A", "B"], n)
    log_c = rng.normal(34, 1.5, n)
    log_m = 0.6 * log_c + rng.normal(0, 0.8, n)
    gpus = np.where(strategy == "baseline", 1, rng.choice([2, 3, 4, 6], n))
    groups = np.sort(rng.integers(0, n // 3, n))
    groups[-1] = groups[-2] + 1
    shared = rng.normal(0, 1, n)[groups % n]
    log_eta = -0.3 * np.log2(gpus) + 0.05 * (log_c - 34) + rng.normal(0, 0.1, n)
    spread = noise * np.exp(0.4 * (log_c - 34))
    y = (
        -4 - 0.3 * (strategy == "fsdp") - 0.5 * (strategy == "tp") + 0.4 * (gpu == "B")
        + 0.3 * log_c + 0.2 * log_m - log_eta
        + spread * (rng.normal(0, 1, n) + shared)
    )  # fmt: skip
    return {
        "numbers": {
            "log_C": log_c, "log_M": log_m, "log_eta": log_eta, "gpus": gpus.astype(float),
            "log2_gpus": np.log2(gpus), "log_energy_kwh": y,
        },
        "labels": {
            "strategy": strategy, "gpu": gpu,
            "config_family": np.array([f"g{g:03d}" for g in groups]),
        },
    }  # fmt: skip


def columns(data):
    """Centred numbers and indicators under the names that they have in a design matrix."""
    found = {"Intercept": np.ones(len(data["labels"]["gpu"]))}
    for name, values in data["numbers"].items():
        found[name] = values - values.mean()
    for name in ["strategy", "gpu"]:
        for level in sorted(set(data["labels"][name])):
            found[f"{name}[{level}]"] = (data["labels"][name] == level) * 1.0
    return found


def product(known, name):
    return np.prod([known[part] for part in name.split(":")], axis=0)


DESIGNS = [
    ("strategy + log_C + log_M + log_eta",
     ["Intercept", "strategy[fsdp]", "strategy[tp]", "log_C", "log_M", "log_eta"]),
    ("log_C*log_M + gpu + strategy + strategy:log2_gpus",
     ["Intercept", "gpu[B]", "strategy[fsdp]", "strategy[tp]", "log_C", "log_M", "log_C:log_M", "strategy[fsdp]:log2_gpus", "strategy[tp]:log2_gpus"]),
    ("gpu + log_C - 1", ["gpu[A]", "gpu[B]", "log_C"]),
    ("gpu:log_C + log_M", ["Intercept", "log_M", "gpu[A]:log_C", "gpu[B]:log_C"]),
    ("gpu*strategy + log_C",
     ["Intercept", "gpu[B]", "strategy[fsdp]", "strategy[tp]", "log_C",
      "gpu[B]:strategy[fsdp]", "gpu[B]:strategy[tp]"]),
    ("log_C - 1", ["log_C"]),
    ("1", ["Intercept"]),
]  # fmt: skip


def inference(fit):
    low, high = fit.conf_int(0.05).T
    narrow_low, narrow_high = fit.conf_int(0.20).T
    return {
        "standard_errors": fit.bse, "p_values": fit.pvalues, "covariance": fit.cov_params(),
        "low": low, "high": high, "low_80": narrow_low, "high_80": narrow_high,
    }  # fmt: skip


def bias_reduced(x, y, groups):
    """CR2 and Satterthwaite's degrees of freedom as Bell and McCaffrey (2002) define them, with n × n matrices."""
    n, k = x.shape
    bread = np.linalg.pinv(x.T @ x, rcond=1e-20)
    left = np.eye(n) - x @ bread @ x.T
    residuals = y - x @ np.linalg.lstsq(x, y)[0]
    meat, adjusted = np.zeros((k, k)), []
    for g in np.unique(groups):
        rows = np.flatnonzero(groups == g)
        root = np.linalg.inv(scipy.linalg.sqrtm(left[np.ix_(rows, rows)]).real)
        score = x[rows].T @ root @ residuals[rows]
        meat += np.outer(score, score)
        adjusted.append(left[:, rows] @ root @ x[rows] @ bread)
    covariance = bread @ meat @ bread
    degrees, errors = [], np.sqrt(np.diag(covariance))
    for j in range(k):
        columns = np.column_stack([a[:, j] for a in adjusted])
        eigenvalues = np.linalg.eigvalsh(columns.T @ columns)
        degrees.append(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    return {"standard_errors": errors, "degrees": degrees}


def collinearity(known, names):
    numeric = [n for n in names if n != "Intercept" and "[" not in n]
    if not numeric:
        return {"terms": [], "vif": [], "condition_number": 1.0}
    x = np.column_stack([product(known, n) for n in numeric])
    with_constant = np.column_stack([np.ones(len(x)), x])
    z = (x - x.mean(0)) / x.std(0)
    return {
        "terms": numeric,
        "vif": [variance_inflation_factor(with_constant, j + 1) for j in range(len(numeric))],
        "condition_number": np.linalg.cond(z),
    }


def case(data_name, data, formula, names):
    known = columns(data)
    x = np.column_stack([product(known, n) for n in names])
    y = data["numbers"]["log_energy_kwh"]
    _, groups = np.unique(data["labels"]["config_family"], return_inverse=True)
    model = sm.OLS(y, x)
    fit = model.fit()
    robust = {k.lower(): model.fit(cov_type=k) for k in ["HC0", "HC1", "HC2", "HC3"]}
    by_group = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    robust["cluster"] = model.fit(**by_group, use_t=True)
    robust["cluster-normal"] = model.fit(**by_group)
    return {
        "data": data_name,
        "formula": formula,
        "names": names,
        "estimates": fit.params,
        "fitted": fit.fittedvalues[:5],
        "residuals": fit.resid[:5],
        "leverage": fit.get_influence().hat_matrix_diag[:5],
        "r2": fit.rsquared,
        "adjusted_r2": fit.rsquared_adj,
        "rmse": np.sqrt(np.mean(fit.resid**2)),
        "sigma2": fit.mse_resid,
        "clusters": int(groups.max() + 1),
        "cr2": bias_reduced(x, y, groups),
        "covariances": {"classical": inference(fit)}
        | {name: inference(fit) for name, fit in robust.items()},
        "collinearity": collinearity(known, names),
    }


def before_run(data_name, data, train, test):
    """The law before the run with scikit-learn's parts, as the study did it."""
    numbers, labels = data["numbers"], data["labels"]
    config = np.column_stack([numbers["log_C"], numbers["log_M"], numbers["gpus"]])
    strategy = labels["strategy"].reshape(-1, 1)

    def regressors(fitted_on, rows, continuous):
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        encoder.fit(strategy[fitted_on])
        return np.column_stack([continuous[rows], encoder.transform(strategy[rows])])

    def eta(fitted_on, rows):
        model = LinearRegression()
        model.fit(regressors(fitted_on, fitted_on, config), numbers["log_eta"][fitted_on])
        return model.predict(regressors(fitted_on, rows, config))

    hat = np.full(len(config), np.nan)
    lacking = 0
    for fitted_on, held_out in GroupKFold(5).split(train, groups=labels["config_family"][train]):
        lacking += not set(labels["strategy"][train[held_out]]) <= set(
            labels["strategy"][train[fitted_on]]
        )
        hat[train[held_out]] = eta(train[fitted_on], train[held_out])
    hat[test] = eta(train, test)
    proxies = np.column_stack([numbers["log_C"], numbers["log_M"], hat])
    law = LinearRegression()
    law.fit(regressors(train, train, proxies), numbers["log_energy_kwh"][train])
    return {
        "data": data_name,
        "train": train,
        "test": test,
        "folds_lacking_a_level": lacking,
        "log_eta": hat[test],
        "predictions": law.predict(regressors(train, test, proxies)),
    }


def one_group_of_tensor_parallel(data):
    """The same table where all tensor-parallel rows are in one group: a fold must lack them."""
    labels = dict(data["labels"])
    family = labels["config_family"].copy()
    family[labels["strategy"] == "tp"] = "g999"
    labels["config_family"] = family
    return {"numbers": data["numbers"], "labels": labels}


def distributions():
    """Two-sided p-values and half-widths of central intervals, down to one degree of freedom."""
    statistics, levels = [0.01, 0.5, 1, 2, 5, 12, 35], [0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.9999]
    degrees = [1, 2, 3, 5, 10, 30, 120, 688, 5000]
    t = scipy.stats.t
    return {
        "statistics": statistics,
        "levels": levels,
        "normal": {
            "p_values": [2 * scipy.stats.norm.sf(z) for z in statistics],
            "half_widths": [scipy.stats.norm.ppf(0.5 + level / 2) for level in levels],
        },
        "students_t": [
            {
                "degrees": nu,
                "p_values": [2 * t.sf(z, nu) for z in statistics],
                "half_widths": [t.ppf(0.5 + level / 2, nu) for level in levels],
            }
            for nu in degrees
        ],
    }


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return plain(value.tolist()) if isinstance(value, (np.ndarray, np.generic)) else value


def main():
    data = {"noisy": table(1, 70, 0.3), "sharp": table(2, 120, 0.002)}
    data["grouped"] = one_group_of_tensor_parallel(table(3, 90, 0.1))
    cases = [
        case(name, data[name], formula, names)
        for name in ["noisy", "sharp"]
        for formula, names in DESIGNS
    ]
    every = {name: np.arange(len(d["labels"]["gpu"])) for name, d in data.items()}
    before = [
        before_run(name, data[name], every[name][every[name] % 4 != 0],
                   every[name][every[name] % 4 == 0])
        for name in ["noisy", "grouped"]
    ]  # fmt: skip
    assert [b["folds_lacking_a_level"] for b in before] == [0, 1]
    versions = {m.__name__: m.__version__ for m in [np, scipy, statsmodels, sklearn]}
    out = {
        "versions": versions, "data": data, "cases": cases, "before_run": before,
        "distributions": distributions(),
    }  # fmt: skip
    print(json.dumps(plain(out)))


main()
