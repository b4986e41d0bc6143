import ApusConfiguration
import ApusCore
import ApusModels

/// A cross product of models, clusters and layouts, each of which is foreseen.
///
/// The data-parallel degree is what the other degrees leave of the devices, accumulation what micro-batch and data
/// leave of the batch. Combinations that do not divide are no runs; `combinations` counts them.
package struct SimulatedSweep: Sendable {
  package var hardware: HardwareDescription
  package var stack: SoftwareStack
  package var numbers: JobNumbers
  package var attention: AttentionKernel
  package var sequenceLength: Int
  package var globalBatchTokens: Int
  package var models: [(name: String, model: ModelConfiguration)]
  package var nodes: [Int]
  package var tensor: [Int]
  package var context: [Int]
  package var pipeline: [Int]
  package var schedules: [PipelineSchedule]
  package var zeroStages: [Int]
  package var microBatchSizes: [Int]
  package var recomputations: [JobRecomputation]
  package var sequenceParallel: Bool

  init(_ section: inout SectionReader, _ catalogue: HardwareCatalogue) {
    let name = section.text("hardware") ?? "H100-80GB"
    if let known = catalogue.named(name) {
      hardware = known
    } else {
      hardware = catalogue.descriptions[0]
      section.report(
        "hardware", "\"\(name)\" is not described", "known are \(catalogue.names.joined(separator: ", "))")
    }
    stack = SoftwareStack(section.choice("stack", SoftwareStack.Name.self) ?? .apus)
    numbers = Self.numbers(&section)
    attention = section.choice("attention", AttentionKernel.self) ?? .flash2
    sequenceLength = section.integer("sequence_length", 1...16_777_216) ?? 4096
    globalBatchTokens = section.integer("global_batch_tokens", 1...Int.max) ?? 1 << 20
    models = []
    for preset in section.words("models") ?? [] {
      if let model = ModelPresets.named(preset), model.vocabularySize > 0 {
        models.append((preset, model))
      } else {
        section.report(
          "models", "\"\(preset)\" is no preset with a vocabulary",
          "valid are \(ModelPresets.names.joined(separator: ", "))")
      }
    }
    section.reportMissing("models", "write a list of presets")
    nodes = section.integers("nodes") ?? [1]
    tensor = section.integers("tensor") ?? [1]
    context = section.integers("context") ?? [1]
    pipeline = section.integers("pipeline") ?? [1]
    zeroStages = section.integers("zero_stage", 0...3) ?? [1]
    microBatchSizes = section.integers("micro_batch_size") ?? [1]
    schedules = Self.schedules(&section)
    recomputations = (section.words("recomputation") ?? ["none"]).compactMap { word in
      switch word {
      case "none": return JobRecomputation.none
      case "selective": return .attention
      case "full": return .full
      default:
        section.reportChoice("recomputation", word, among: ["none", "selective", "full"])
        return nil
      }
    }
    sequenceParallel = section.truth("sequence_parallel") ?? true
  }

  private static func schedules(_ section: inout SectionReader) -> [PipelineSchedule] {
    let chunks = section.integers("chunks") ?? [2]
    return (section.words("schedule") ?? ["1f1b"]).flatMap { word -> [PipelineSchedule] in
      if word == "interleaved" { return chunks.map { .interleaved(chunks: $0, group: nil) } }
      if let schedule = PipelineSchedule(name: word) { return [schedule] }
      section.reportChoice("schedule", word, among: PipelineSchedule.names)
      return []
    }
  }

  private static func numbers(_ section: inout SectionReader) -> JobNumbers {
    let word = section.text("precision") ?? "bf16"
    switch word {
    case "bf16": return JobNumbers()
    case "bf16-fp32-gradients": return JobNumbers(gradientBytes: 4, gradientWireBytes: 4)
    case "fp16": return JobNumbers(compute: .fp16)
    case "fp8": return JobNumbers(compute: .fp8)
    case "fp32":
      return JobNumbers(
        compute: .fp32, weightBytes: 4, gradientBytes: 4, optimizerBytes: 8, gradientWireBytes: 4,
        parameterWireBytes: 4)
    default:
      section.reportChoice(
        "precision", word, among: ["bf16", "bf16-fp32-gradients", "fp16", "fp8", "fp32"])
      return JobNumbers()
    }
  }

  /// Every run that divides, and how many combinations do not.
  package func combinations() -> (runs: [SweepRecord.Setting], impossible: Int) {
    var runs: [SweepRecord.Setting] = []
    var impossible = 0
    for (name, model) in models {
      for node in nodes {
        for (t, c) in product(tensor, context) {
          for (p, schedule) in product(pipeline, schedules) {
            // One stage knows no schedule; it is enough to look at the first.
            if p == 1, schedule != schedules[0] { continue }
            for (stage, microBatch) in product(zeroStages, microBatchSizes) {
              for recomputation in recomputations {
                guard
                  let job = job(
                    model, node, t, c, p, schedule, stage, microBatch, recomputation)
                else {
                  impossible += 1
                  continue
                }
                runs.append(SweepRecord.Setting(modelName: name, job: job))
              }
            }
          }
        }
      }
    }
    return (runs, impossible)
  }

  /// The job, nil where something does not divide.
  private func job(
    _ model: ModelConfiguration, _ nodes: Int, _ t: Int, _ c: Int, _ p: Int, _ schedule: PipelineSchedule,
    _ zeroStage: Int, _ microBatch: Int, _ recomputation: JobRecomputation
  ) -> TrainingJob? {
    let devices = nodes * hardware.devicesPerNode
    let samples = globalBatchTokens / sequenceLength
    guard devices.isMultiple(of: t * c * p), model.headCount.isMultiple(of: t),
      sequenceLength.isMultiple(of: c), schedule.stages(devices: p) <= model.layerCount
    else { return nil }
    let data = devices / (t * c * p)
    guard samples.isMultiple(of: data * microBatch), data > 1 || c > 1 || zeroStage == zeroStages[0] else {
      return nil
    }
    let microbatches = samples / (data * microBatch)
    guard p == 1 || (try? schedule.check(devices: p, microbatches: microbatches)) != nil else { return nil }
    let layout = JobLayout(
      ParallelLayout(
        data: data, tensor: t, context: c, pipeline: p, zeroStage: zeroStage,
        sequenceParallel: sequenceParallel && t > 1),
      schedule: schedule, microBatchSize: microBatch, microbatches: microbatches)
    return TrainingJob(
      model: model, layout: layout, sequenceLength: sequenceLength, numbers: numbers,
      recomputation: recomputation, attention: attention, stack: stack, hardware: hardware)
  }

  private func product<A, B>(_ a: [A], _ b: [B]) -> [(A, B)] { a.flatMap { x in b.map { (x, $0) } } }
}
