"""Makes the logs in this folder: made up, and laid out as the tools' own writers lay theirs out (see docs/how-to/import.md).

    python3 make.py
"""

import pathlib

here = pathlib.Path(__file__).parent


def write(name, lines):
    (here / name).write_text("\n".join(lines) + "\n")


write(
    "emissions.csv",
    [
        "timestamp,project_name,run_id,experiment_id,duration,emissions,emissions_rate,cpu_power,gpu_power,ram_power,"
        "cpu_energy,gpu_energy,ram_energy,energy_consumed,country_name,country_iso_code,region,cloud_provider,cloud_region,"
        "os,python_version,codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,"
        "tracking_mode,on_cloud,pue",
        *(
            f"2026-03-01T{time},bert,{run},5b0fa12a,{seconds}.0,0.01,0.0001,42.5,310.0,188.0,{cpu},{gpu},{ram},"
            f"{cpu + gpu + ram:.4f},France,FRA,,,,Linux,3.11,3.0.4,64,EPYC,2,2 x NVIDIA A100-SXM4-40GB,,,512.0,machine,N,1.2"
            for time, run, seconds, cpu, gpu, ram in [
                ("10:10:00", "r1", 600, 0.0085, 0.12, 0.0376),
                ("10:20:00", "r1", 1200, 0.017, 0.24, 0.0752),
                ("10:45:00", "r2", 900, 0.01275, 0.18, 0.0564),
            ]
        ),
    ],
)
write(
    "zeus.csv",
    ["start_time,window_name,elapsed_time,gpu0_energy,gpu1_energy"]
    + [f"{1772359200 + 30 * i}.25,step,{28 + i}.5,{8400 + 30 * i}.125,{8350 + 25 * i}.5" for i in range(3)]
    + ["1772359199.5,epoch,92.0,26200.0,26050.25"],
)
watts = [62.11, 180.4, 251.97, 254.03, 249.5, 120.2]
write(
    "gpu.csv",
    ["timestamp, index, name, power.draw [W], power.limit [W]"]
    + [
        f"2026/03/01 11:00:{2 * s:02}.{15 + gpu:03}, {gpu}, NVIDIA A100-SXM4-40GB, {w + gpu:.2f} W, 400.00 W"
        for s, w in enumerate(watts)
        for gpu in (0, 1)
    ],
)
write(
    "megatron.out",
    ["using world size: 8, data-parallel size: 8, tensor-model-parallel size: 1, pipeline-model-parallel size: 1"]
    + [
        f" [2026-03-01 11:00:{2 * i:02}.918469] iteration {i:8}/     100 | consumed samples: {32 * i:12} | elapsed time per "
        f"iteration (ms): {2000 + i}.0 | throughput per GPU (TFLOP/s/GPU): 178.0 | energy per GPU (J/iter/GPU): {640 + i}.5 | "
        f"power per GPU (W/GPU): 320.1 | learning rate: 1.000000E-04 | global batch size:    32 | lm loss: 2.401035E+00 | "
        "loss scale: 1.0 | grad norm: 1.797 | number of skipped iterations:   0 | number of nan iterations:   0 |"
        for i in (10, 20, 30)
    ]
    + ["Total training energy (GPU): 0.1594 MJ"],
)


def event(ms, key, value):
    return f':::MLLOG {{"namespace": "", "time_ms": {ms}, "event_type": "POINT_IN_TIME", "key": "{key}", "value": {value}, "metadata": {{"file": "power.py", "lineno": 1}}}}'


t = 1772359200000
write("mlperf/result_0.txt", [event(t + 500, "run_start", "null"), event(t + 5500, "run_stop", "null")])
write(
    "mlperf/power/result_0/node_0.txt",
    [event(t, "power_measurement_start", "null"), event(t, "conversion_eff", '{"value": 0.95}')]
    + [event(t + 1000 * s, "power_reading", f'{{"value": {6000 + 100 * s}}}') for s in range(1, 7)]
    + [event(t + 6000, "power_measurement_stop", "null")],
)
label = '{gpu="0",UUID="GPU-6a4c",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",Hostname="node1"}'
write(
    "dcgm.prom",
    [
        line
        for s in range(3)
        for line in [
            "# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy consumption since boot (in mJ).",
            "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter",
            f"DCGM_FI_DEV_POWER_USAGE{label} {612.4 + s}",
            f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{label} {319159391 + 9200000 * s}",
        ]
    ],
)
write(
    "7.ab12_2026-03-01T110000Z_carbontracker.log",
    [
        "2026-03-01 11:00:00 - carbontracker version 2.4.7",
        "2026-03-01 11:00:00 - Only predicted and actual consumptions are multiplied by a PUE coefficient of 1.58 (Daniel Bizo, 2023).",
        "2026-03-01 11:00:00 - The following components were found: GPU with device(s) NVIDIA A40, NVIDIA A40. CPU with device(s) cpu:0.",
        "2026-03-01 11:00:00 - Monitoring thread started.",
        "2026-03-01 11:02:00 - Epoch 1:",
        "2026-03-01 11:02:00 - Duration: 0:02:00.50",
        "2026-03-01 11:02:00 - Average power usage (W) for gpu: 240.25",
        "2026-03-01 11:02:00 - Average power usage (W) for cpu: [55.5]",
        "2026-03-01 11:02:00 - Monitoring thread ended.",
    ],
)
write(
    "alumet.csv",
    ["metric;timestamp;value;resource_kind;resource_id;consumer_kind;consumer_id;domain;__late_attributes"]
    + [
        line
        for s in range(4)
        for line in [
            f"nvml_energy_consumption_mJ;2026-03-01T11:00:0{s}.000000000Z;{250000 + s};gpu;00000000:01:00.0;local_machine;;;",
            f"rapl_consumed_energy_J;2026-03-01T11:00:0{s}.000000000Z;60.25;cpu_package;0;local_machine;;package;",
            f"rapl_consumed_energy_J;2026-03-01T11:00:0{s}.000000000Z;60.25;local_machine;;local_machine;;package_total;",
        ]
    ],
)
write(
    "perun.csv",
    [",run id,hostname,device_group,sensor,unit,magnitude,timestep,value"]
    + [f"{s},0,node1,GPU,CUDA:0_POWER,W,0.001,{s}.0,{250000 + 1000 * s}" for s in range(4)]
    + [f"{s + 4},0,node1,CPU,cpu_0_package-0,J,1e-06,{s}.0,{80000000 + 60000000 * s}" for s in range(4)],
)
write(
    "energibridge.csv",
    ["Delta,Time,CPU_USAGE_0,DRAM_ENERGY (J),GPU0_POWER,PACKAGE_ENERGY (J),TOTAL_MEMORY"]
    + [f"200,{1772359200000 + 1000 * s},12.5,{10 + 2 * s}.5,{250000 + 1000 * s},{1000 + 55 * s}.25,34359738368" for s in range(4)],
)
write(
    "jpwr/power.csv",
    [",timestamps,pynvml:0,gh:Module Power Socket 0"]
    + [f"{s},{1772359200 + s}.0,{410 + s}.5,{690 + s}.0" for s in range(4)],
)
write("jpwr/energy_from_counter.csv", [",pynvml:0", "0,0.3433333"])
write(
    "emission.csv",
    [
        "id,project_name,experiment_description,epoch,start_time,duration(s),power_consumption(kWh),CO2_emissions(kg),CPU_name,GPU_name,OS,region/country,cost",
        '7b,bert,fine-tuning,"epoch: 0, loss: 0.61",2026-03-01 11:00:00,120.5,0.0125,0.002,"Intel Xeon/1 device(s), TDP:95",NVIDIA A40 2 device(s),Linux,FR,N/A',
        '7b,bert,fine-tuning,"epoch: 1, loss: 0.44",2026-03-01 11:02:01,119.25,0.0123,0.002,"Intel Xeon/1 device(s), TDP:95",NVIDIA A40 2 device(s),Linux,FR,N/A',
    ],
)
write("meter.csv", ["who,started,secs,used kWh", "bert on 2 GPUs,2026-03-01,1200,0.41"])
(here / "map.toml").write_text(
    '# What meter.csv calls its columns, and what its rows do not say.\n[columns]\nrun_id = "who"\nduration_s = "secs"\n'
    'energy_kwh = "used kWh"\n\n[constants]\nscope = "node_ac"\nmeter = "plug meter"\ngpus = 2\n'
)
