/// The share that a step is slower because its memory is foreseen close to what the device holds.
///
/// A caching allocator that the device refuses gives back all that it keeps, waits for the device, and asks
/// again; near the limit it does so over and over. Whether a step comes that far is as uncertain as its
/// foreseen memory, so what is lost grows from nothing at the limit less that uncertainty to `allocatorRetry`
/// at the limit. Apus plans its memory before a run and asks for it once: it loses nothing.
enum MemoryPressure {
  static func slowdown(_ memory: MemoryForecast, _ job: TrainingJob, _ constants: CostConstants) -> Double {
    guard job.stack.name != .apus, constants.memoryUncertainty > 0 else { return 0 }
    let free = 1 - memory.devicePeak / job.hardware.memoryBytes
    return constants.allocatorRetry * min(1, max(0, 1 - free / constants.memoryUncertainty))
  }
}
