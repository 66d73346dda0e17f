//! The C interface: the NVML functions that meters call. Names and constants follow NVIDIA's `nvml.h`.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use crate::script::{CLOCK, Clock, Gpu, SCRIPT, Script};

const SUCCESS: c_uint = 0;
const UNINITIALIZED: c_uint = 1;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_SUPPORTED: c_uint = 3;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;
const GPU_IS_LOST: c_uint = 15;
const UNKNOWN: c_uint = 999;

const FI_TOTAL_ENERGY: c_uint = 83;
const FI_NVLINK_SPEED_COMMON: c_uint = 90;
const FI_POWER_AVERAGE: c_uint = 185;
const FI_POWER_INSTANT: c_uint = 186;
const P2P_INDEX_NVLINK: c_uint = 2;
const P2P_STATUS_OK: c_uint = 0;
const P2P_STATUS_NOT_SUPPORTED: c_uint = 5;
const POWER_SCOPE_GPU: c_uint = 0;
const VALUE_UNSIGNED_INT: c_uint = 1;
const VALUE_UNSIGNED_LONG_LONG: c_uint = 3;

/// A device handle: its index, counted from 1; not a valid pointer.
type Handle = *mut c_void;

struct State {
    script: Script,
    clock: PathBuf,
    since: Instant,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

impl State {
    fn load() -> Option<Self> {
        let file =
            std::env::var_os("NVML_DOUBLE_SCRIPT").map_or_else(beside, |f| Some(f.into()))?;
        let text = std::fs::read_to_string(&file).ok()?;
        let script =
            toml::from_str(&text).inspect_err(|e| eprintln!("{}: {e}", file.display())).ok()?;
        Some(Self { script, clock: file.with_file_name(CLOCK), since: Instant::now() })
    }

    fn time_s(&self) -> f64 {
        match self.script.clock {
            Clock::Real => self.since.elapsed().as_secs_f64(),
            Clock::File => {
                let text = std::fs::read_to_string(&self.clock).unwrap_or_default();
                text.trim().parse().unwrap_or(0.0)
            }
        }
    }
}

/// The script next to this library.
fn beside() -> Option<PathBuf> {
    // SAFETY: a struct of pointers, for which zeros are valid
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is that of a function of this library, and `info` lives
    if unsafe { libc::dladdr(nvmlShutdown as *const c_void, &raw mut info) } == 0
        || info.dli_fname.is_null()
    {
        return None;
    }
    // SAFETY: the linker's name of a loaded file, with a zero at its end
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())).with_file_name(SCRIPT))
}

fn with(answer: impl FnOnce(&State) -> Result<(), c_uint>) -> c_uint {
    match STATE.lock() {
        Ok(state) => match state.as_ref() {
            Some(state) => answer(state).err().unwrap_or(SUCCESS),
            None => UNINITIALIZED,
        },
        Err(_) => UNKNOWN,
    }
}

fn gpu_of(state: &State, device: Handle) -> Result<&Gpu, c_uint> {
    (device as usize).checked_sub(1).and_then(|i| state.script.gpus.get(i)).ok_or(INVALID_ARGUMENT)
}

fn with_gpu(device: Handle, answer: impl FnOnce(&Gpu, f64) -> Result<(), c_uint>) -> c_uint {
    with(|state| {
        let gpu = gpu_of(state, device)?;
        let time = state.time_s();
        if gpu.lost(time) { Err(GPU_IS_LOST) } else { answer(gpu, time) }
    })
}

/// Writes a value to the caller's pointer.
fn put<T>(to: *mut T, value: T) -> Result<(), c_uint> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: the caller passes a valid place, as nvml.h asks
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a NUL-terminated text.
fn put_text(to: *mut c_char, length: c_uint, text: &str) -> Result<(), c_uint> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    if text.len() >= length as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    // SAFETY: the caller's place is `length` bytes long, as nvml.h asks, and the text with its zero is not longer
    unsafe {
        to.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

fn supported(is: bool) -> Result<(), c_uint> {
    if is { Ok(()) } else { Err(NOT_SUPPORTED) }
}

fn readable(gpu: &Gpu, has: bool) -> Result<(), c_uint> {
    if gpu.read_returns != SUCCESS { Err(gpu.read_returns) } else { supported(has) }
}

/// Functions of `nvml.h` with their bodies.
macro_rules! nvml {
    ($($name:ident($($arg:ident: $type:ty),*) $body:block)+) => {
        $(
            #[doc = concat!("`", stringify!($name), "` of nvml.h.")]
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub extern "C" fn $name($($arg: $type),*) -> c_uint $body
        )+
    };
}

nvml! {
    nvmlInit_v2() { init() }
    nvmlInit() { init() }
    nvmlInitWithFlags(_flags: c_uint) { init() }
    nvmlShutdown() { SUCCESS }
    nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) {
        with(|state| put_text(to, length, &state.script.driver))
    }
    nvmlSystemGetNVMLVersion(to: *mut c_char, length: c_uint) {
        with(|state| put_text(to, length, &format!("12.{}", state.script.driver)))
    }
    nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) { with(|_| put(to, 12_040)) }
    nvmlDeviceGetCount_v2(to: *mut c_uint) { with(|state| put(to, state.script.gpus.len() as c_uint)) }
    nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut Handle) {
        with(|state| {
            let gpu = state.script.gpus.get(index as usize).ok_or(INVALID_ARGUMENT)?;
            handle(gpu, index as usize, to)
        })
    }
    nvmlDeviceGetHandleByUUID(uuid: *const c_char, to: *mut Handle) {
        if uuid.is_null() {
            return INVALID_ARGUMENT;
        }
        // SAFETY: a text with a zero at its end, as nvml.h asks
        let uuid = unsafe { CStr::from_ptr(uuid) }.to_string_lossy();
        with(|state| {
            let index = state.script.gpus.iter().position(|gpu| gpu.uuid == uuid).ok_or(NOT_FOUND)?;
            handle(&state.script.gpus[index], index, to)
        })
    }
    nvmlDeviceGetIndex(device: Handle, to: *mut c_uint) {
        with_gpu(device, |_, _| put(to, device as c_uint - 1))
    }
    nvmlDeviceGetName(device: Handle, to: *mut c_char, length: c_uint) {
        with_gpu(device, |gpu, _| put_text(to, length, &gpu.name))
    }
    nvmlDeviceGetUUID(device: Handle, to: *mut c_char, length: c_uint) {
        with_gpu(device, |gpu, _| put_text(to, length, &gpu.uuid))
    }
    nvmlDeviceGetArchitecture(device: Handle, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, gpu.architecture))
    }
    nvmlDeviceGetTotalEnergyConsumption(device: Handle, to: *mut c_ulonglong) {
        with_gpu(device, |gpu, time| {
            readable(gpu, gpu.counter)?;
            put(to, gpu.counter_mj(time))
        })
    }
    nvmlDeviceGetPowerUsage(device: Handle, to: *mut c_uint) {
        with_gpu(device, |gpu, time| {
            readable(gpu, gpu.power)?;
            put(to, gpu.power_mw(time))
        })
    }
    nvmlDeviceGetEnforcedPowerLimit(device: Handle, to: *mut c_uint) { limit(device, to) }
    nvmlDeviceGetPowerManagementLimit(device: Handle, to: *mut c_uint) { limit(device, to) }
    nvmlDeviceGetPowerManagementDefaultLimit(device: Handle, to: *mut c_uint) { limit(device, to) }
    nvmlDeviceGetClockInfo(device: Handle, kind: c_uint, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, if kind == 2 { gpu.memory_clock_mhz } else { gpu.sm_clock_mhz }))
    }
    nvmlDeviceGetTemperature(device: Handle, _sensor: c_uint, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, gpu.temperature_c))
    }
    nvmlDeviceGetUtilizationRates(device: Handle, to: *mut [c_uint; 2]) {
        with_gpu(device, |gpu, _| put(to, [gpu.utilization_percent, gpu.utilization_percent / 2]))
    }
    nvmlDeviceGetCurrentClocksThrottleReasons(device: Handle, to: *mut c_ulonglong) {
        with_gpu(device, |gpu, _| put(to, gpu.throttle_reasons))
    }
    nvmlDeviceGetMigMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) {
        with_gpu(device, |gpu, _| {
            let mode = c_uint::from(gpu.mig.ok_or(NOT_SUPPORTED)?);
            put(current, mode)?;
            put(pending, mode)
        })
    }
    nvmlDeviceGetVirtualizationMode(device: Handle, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, gpu.virtualization))
    }
    nvmlDeviceGetMemoryInfo(device: Handle, to: *mut [c_ulonglong; 3]) {
        with_gpu(device, |_, _| put(to, [80 << 30, 40 << 30, 40 << 30]))
    }
    nvmlDeviceGetComputeMode(device: Handle, to: *mut c_uint) { with_gpu(device, |_, _| put(to, 0)) }
    nvmlDeviceGetPersistenceMode(device: Handle, to: *mut c_uint) { with_gpu(device, |_, _| put(to, 1)) }
    nvmlDeviceGetComputeRunningProcesses_v3(device: Handle, count: *mut c_uint, _infos: *mut c_void) {
        with_gpu(device, |_, _| put(count, 0))
    }
    nvmlDeviceGetGraphicsRunningProcesses_v3(device: Handle, count: *mut c_uint, _infos: *mut c_void) {
        with_gpu(device, |_, _| put(count, 0))
    }
    nvmlDeviceGetNvLinkState(device: Handle, link: c_uint, to: *mut c_uint) {
        with_gpu(device, |gpu, _| {
            supported(gpu.nvlinks > 0)?;
            put(to, c_uint::from(link < gpu.nvlinks))
        })
    }
    nvmlDeviceGetP2PStatus(device: Handle, other: Handle, index: c_uint, to: *mut c_uint) {
        with(|state| {
            let group = |device| -> Result<Option<c_uint>, c_uint> {
                let gpu = gpu_of(state, device)?;
                Ok((gpu.nvlinks > 0 && index == P2P_INDEX_NVLINK).then_some(gpu.nvlink_group))
            };
            let (a, b) = (group(device)?, group(other)?);
            put(to, if a.is_some() && a == b { P2P_STATUS_OK } else { P2P_STATUS_NOT_SUPPORTED })
        })
    }
    nvmlDeviceGetMaxPcieLinkGeneration(device: Handle, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, gpu.pcie.0))
    }
    nvmlDeviceGetMaxPcieLinkWidth(device: Handle, to: *mut c_uint) {
        with_gpu(device, |gpu, _| put(to, gpu.pcie.1))
    }
    nvmlDeviceGetFieldValues(device: Handle, count: c_int, values: *mut FieldValue) {
        with_gpu(device, |gpu, time| {
            for i in 0..usize::try_from(count).map_err(|_| INVALID_ARGUMENT)? {
                // SAFETY: the caller's array has `count` elements, as nvml.h asks
                field(gpu, time, unsafe { &mut *values.add(i) });
            }
            Ok(())
        })
    }
}

/// `nvmlFieldValue_t`.
#[repr(C)]
pub struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency_us: i64,
    value_type: c_uint,
    returned: c_uint,
    value: u64,
}

fn field(gpu: &Gpu, time: f64, field: &mut FieldValue) {
    let power = (VALUE_UNSIGNED_INT, u64::from(gpu.power_mw(time)));
    let (supported, (value_type, value)) = match field.field {
        FI_TOTAL_ENERGY => (gpu.counter, (VALUE_UNSIGNED_LONG_LONG, gpu.counter_mj(time))),
        FI_NVLINK_SPEED_COMMON => {
            (gpu.nvlinks > 0, (VALUE_UNSIGNED_INT, u64::from(gpu.nvlink_mb_per_s)))
        }
        FI_POWER_AVERAGE | FI_POWER_INSTANT => {
            (gpu.power && gpu.architecture >= 7 && field.scope == POWER_SCOPE_GPU, power)
        }
        _ => (false, (0, 0)),
    };
    field.returned = readable(gpu, supported).err().unwrap_or(SUCCESS);
    (field.value_type, field.value) = (value_type, value);
}

fn init() -> c_uint {
    let Some(state) = State::load() else { return UNKNOWN };
    let returns = state.script.init_returns;
    if returns == SUCCESS
        && let Ok(mut current) = STATE.lock()
    {
        *current = Some(state);
    }
    returns
}

fn handle(gpu: &Gpu, index: usize, to: *mut Handle) -> Result<(), c_uint> {
    if gpu.handle_returns != SUCCESS {
        return Err(gpu.handle_returns);
    }
    put(to, (index + 1) as Handle)
}

fn limit(device: Handle, to: *mut c_uint) -> c_uint {
    with_gpu(device, |gpu, _| put(to, (gpu.limit_w * 1e3) as c_uint))
}

/// `nvmlErrorString` of nvml.h.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub extern "C" fn nvmlErrorString(result: c_uint) -> *const c_char {
    match result {
        SUCCESS => c"Success",
        UNINITIALIZED => c"Uninitialized",
        NOT_SUPPORTED => c"Not Supported",
        GPU_IS_LOST => c"GPU is lost",
        _ => c"Unknown Error",
    }
    .as_ptr()
}
