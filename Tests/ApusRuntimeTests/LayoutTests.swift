import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Every kind of layout against one rank: the same loss, norm, gradients and weights (S20, S27 to S34).
@Suite struct LayoutTests {
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 13, maximumSequenceLength: 9, layerCount: 2, hiddenSize: 12, headCount: 6,
    intermediateSize: 18)
  static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 12,
    headCount: 4,
    keyValueHeadCount: 2, headSize: 6, intermediateSize: 10, tiedEmbeddings: false)
  static let tiedLlama = ModelConfiguration(
    family: .llama, vocabularySize: 11, maximumSequenceLength: 8, layerCount: 1, hiddenSize: 8, headCount: 4,
    keyValueHeadCount: 1, headSize: 2, intermediateSize: 6)
  static let models = ["gpt2": gpt2, "llama": llama, "tied llama": tiedLlama]

  static let layouts: [ParallelLayout] = [
    ParallelLayout(tensor: 2), ParallelLayout(tensor: 2, sequenceParallel: true), ParallelLayout(data: 2),
    ParallelLayout(data: 3), ParallelLayout(data: 2, zeroStage: 1), ParallelLayout(data: 2, zeroStage: 2),
    ParallelLayout(data: 2, zeroStage: 3), ParallelLayout(data: 3, zeroStage: 1),
    ParallelLayout(data: 3, zeroStage: 2), ParallelLayout(data: 3, zeroStage: 3),
    ParallelLayout(data: 4, zeroStage: 1, shardDegree: 2),
    ParallelLayout(data: 4, zeroStage: 2, shardDegree: 2),
    ParallelLayout(data: 4, zeroStage: 3, shardDegree: 2),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 1), ParallelLayout(data: 2, tensor: 2, zeroStage: 2),
    ParallelLayout(data: 2, tensor: 2, zeroStage: 3, sequenceParallel: true),
    ParallelLayout(data: 3, tensor: 2, zeroStage: 2, sequenceParallel: true),
  ]

  static func error(_ a: Double, _ b: Double) -> Double { abs(a - b) / abs(b) }

  /// Checks a run against one rank.
  static func check(
    _ run: LayoutRun, _ one: LayoutRun, gradients: Double = 1e-5, weights: Double = 1e-5, _ text: String
  ) {
    for (a, b) in zip(run.losses, one.losses) { #expect(error(a, b) < gradients, "\(text): loss") }
    for (a, b) in zip(run.norms, one.norms) { #expect(error(a, b) < gradients, "\(text): norm") }
    let gradient = LayoutRun.error(run.gradients, one.gradients)
    #expect(gradient.value < gradients, "\(text): gradient of \(gradient.name)")
    let weight = LayoutRun.error(run.weights, one.weights)
    #expect(weight.value < weights, "\(text): \(weight.name)")
  }

  @Test(arguments: ["gpt2", "llama", "tied llama"])
  func everyLayoutEqualsOneRank(_ name: String) throws {
    let job = LayoutRun.Job(model: Self.models[name]!)
    let one = try LayoutRun(job, ParallelLayout())
    var layouts = Self.layouts
    switch name {
    case "gpt2":
      layouts += [ParallelLayout(tensor: 3), ParallelLayout(tensor: 6, sequenceParallel: true)]
    default:
      // Above the number of key-value heads.
      layouts += [
        ParallelLayout(tensor: 4), ParallelLayout(data: 2, tensor: 4, zeroStage: 3, sequenceParallel: true),
      ]
    }
    for layout in layouts {
      for microbatches in [1, 2] where job.sequences.isMultiple(of: layout.data * microbatches) {
        let run = try LayoutRun(job, layout, microbatches: microbatches)
        Self.check(run, one, "\(name), \(layout), \(microbatches) micro-batches")
        for rank in run.ranks {
          #expect(
            rank.highWater <= rank.plannedBytes && rank.highWater > rank.plannedBytes - 256, "\(layout)")
        }
      }
    }
  }
}
