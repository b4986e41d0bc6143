import ApusCore
import ApusForesight
import ApusReport

/// A forecast as `apus forecast --json` prints it: seconds and bytes.
struct ForecastSummary: Encodable {
  let devices, tokensPerStep: Int
  let stepSeconds, tokensPerSecondPerDevice, utilizationCausal, utilizationFull: Double
  let computeSeconds, hostSeconds, bubbleSeconds, optimizerSeconds: Double
  let exposedSeconds: [String: Double]
  let memory: Memory

  struct Memory: Encodable {
    let device: Int
    let parameterBytes, gradientBytes, optimizerBytes, activationBytes, temporaryBytes: Double
    let firstStepPeakBytes, laterPeakBytes, reservedBytes, deviceBytes, availableBytes: Double
    let fits: Bool
  }

  init(_ job: TrainingJob, _ forecast: StepForecast) {
    devices = job.layout.worldSize
    tokensPerStep = job.tokensPerStep
    stepSeconds = forecast.stepSeconds
    tokensPerSecondPerDevice = forecast.tokensPerSecondPerDevice
    utilizationCausal = forecast.utilizationCausal
    utilizationFull = forecast.utilizationFull
    computeSeconds = forecast.computeSeconds
    hostSeconds = forecast.hostSeconds
    bubbleSeconds = forecast.bubbleSeconds
    optimizerSeconds = forecast.optimizerSeconds
    exposedSeconds = Dictionary(
      uniqueKeysWithValues: CommunicationAxis.allCases.map { ($0.rawValue, forecast.exposed[$0] ?? 0) })
    let m = forecast.memory
    memory = Memory(
      device: m.stage, parameterBytes: m.parameters, gradientBytes: m.gradients, optimizerBytes: m.optimizer,
      activationBytes: m.activations, temporaryBytes: m.temporary, firstStepPeakBytes: m.firstPeak,
      laterPeakBytes: m.allocatedPeak, reservedBytes: m.reservedPeak, deviceBytes: m.devicePeak,
      availableBytes: job.hardware.memoryBytes, fits: m.fits)
  }
}

/// A forecast as tables.
enum ForecastText {
  static func text(_ job: TrainingJob, _ forecast: StepForecast) -> String {
    let hardware = job.hardware
    var text = """
      \(job.layout.worldSize) x \(hardware.name), \(job.tokensPerStep.grouped) tokens a step
      step \(seconds(forecast.stepSeconds)), \(forecast.tokensPerSecondPerDevice.formatted(decimals: 0)) tokens/s a \
      device, MFU \(forecast.utilizationCausal.percent()) (attention counted causal), \
      \(forecast.utilizationFull.percent()) (full)


      """
    var time = TextTable([.text("the device that ends last"), .number("time"), .number("share")])
    var parts = [
      ("computes", forecast.computeSeconds), ("waits for its host", forecast.hostSeconds),
      ("waits for other stages", forecast.bubbleSeconds),
    ]
    for axis in CommunicationAxis.allCases {
      parts.append(("communicates, \(axis.rawValue)", forecast.exposed[axis] ?? 0))
    }
    parts.append(("updates", forecast.optimizerSeconds))
    for (name, value) in parts where value > 0 {
      time.add([name, seconds(value), (value / forecast.stepSeconds).percent()])
    }
    text += time.description + "\n"
    let memory = forecast.memory
    var table = TextTable([.text("memory of device \(memory.stage) of the pipeline"), .number("")])
    for (name, bytes) in [
      ("parameters", memory.parameters), ("gradients", memory.gradients), ("optimizer", memory.optimizer),
      ("activations", memory.activations), ("temporary", memory.temporary),
      ("peak of step 1", memory.firstPeak), ("peak of later steps", memory.allocatedPeak),
      ("with allocator, context and communicators", memory.devicePeak),
    ] { table.add([name, "\(ByteCount(Int(bytes)))"]) }
    text += table.description
    let left = hardware.memoryBytes - memory.devicePeak
    return text
      + (memory.fits
        ? "fits: \(ByteCount(Int(left))) of \(ByteCount(Int(hardware.memoryBytes))) are left\n"
        : "does not fit: \(ByteCount(Int(-left))) more than \(ByteCount(Int(hardware.memoryBytes)))\n")
  }

  private static func seconds(_ value: Double) -> String {
    value >= 1 ? "\(value.formatted(decimals: 3)) s" : "\((1000 * value).formatted(decimals: 2)) ms"
  }
}
