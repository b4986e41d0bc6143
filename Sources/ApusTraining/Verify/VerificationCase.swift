import ApusCore
import ApusModels
import ApusProgram

/// A layout with its options, to be compared with one rank.
package struct VerificationCase: Hashable, Sendable {
  /// The model's name in the table.
  package var name: String
  package var model: ModelConfiguration
  package var layout: ParallelLayout
  package var communication = CommunicationPolicy()
  package var recomputation = VerifiedRecomputation.none
  package var precision = PrecisionPolicy.fp32
  /// Micro-batches of a replica in a step.
  package var accumulation = 1
  /// Sequences in a micro-batch.
  package var microBatchSize = 1
  /// Tokens of a sequence.
  package var sequenceLength: Int

  package init(
    _ name: String, _ model: ModelConfiguration, _ layout: ParallelLayout,
    sequenceLength: Int = VerificationCase.sequenceLength
  ) {
    self.name = name
    self.model = model
    self.layout = layout
    self.sequenceLength = sequenceLength
  }

  /// Sequences of a step on all replicas.
  package var sequences: Int { layout.data * accumulation * microBatchSize }

  /// Whether units merge into buckets, units are gathered ahead, and inputs are gathered over the tensor axis.
  var hasBuckets: Bool { layout.data > 1 && layout.zeroStage < 3 && communication.gradients != .naive }
  var prefetches: Bool { layout.zeroStage >= 2 && communication.gradients == .overlapped }

  /// `data 2 tensor 2 zero 3 (shards of 2), sequence parallel`.
  package var layoutText: String {
    var text = "data \(layout.data) tensor \(layout.tensor)"
    if layout.zeroStage > 0 { text += " zero \(layout.zeroStage)" }
    if let degree = layout.shardDegree { text += " shards of \(degree)" }
    if layout.sequenceParallel { text += " sequence parallel" }
    return text
  }

  /// The options that have an effect in this layout.
  package var optionsText: String {
    var parts: [String] = []
    if layout.data > 1 { parts.append(communication.gradients.rawValue) }
    if hasBuckets { parts.append("buckets of \(communication.bucketByteCount) B") }
    if prefetches { parts.append("prefetch \(communication.prefetchedUnits)") }
    if layout.sequenceParallel { parts.append(communication.keepsGatheredInputs ? "keep" : "gather again") }
    parts.append("accumulation \(accumulation)")
    if recomputation != .none { parts.append("recompute \(recomputation.rawValue)") }
    parts.append("micro-batch \(microBatchSize)")
    if precision != .fp32 { parts.append(precision.name) }
    return parts.joined(separator: ", ")
  }
}

extension VerificationCase {
  /// Small models of every kind: learned and rotary positions, full, grouped and single key-value heads, tied and
  /// separate tables, and sizes that ranks do not divide evenly.
  package static let models: [(name: String, model: ModelConfiguration)] = [
    (
      "gpt2",
      ModelConfiguration(
        family: .gpt2, vocabularySize: 13, maximumSequenceLength: sequenceLength + 1, layerCount: 2,
        hiddenSize: 24, headCount: 6, intermediateSize: 36)
    ),
    (
      "llama",
      ModelConfiguration(
        family: .llama, vocabularySize: 17, maximumSequenceLength: sequenceLength, layerCount: 2,
        hiddenSize: 20, headCount: 8, keyValueHeadCount: 2, headSize: 4, intermediateSize: 24,
        tiedEmbeddings: false)
    ),
    (
      "llama odd",
      ModelConfiguration(
        family: .llama, vocabularySize: 7, maximumSequenceLength: sequenceLength, layerCount: 1,
        hiddenSize: 10, headCount: 3, keyValueHeadCount: 3, headSize: 2, intermediateSize: 9,
        tiedEmbeddings: true)
    ),
    (
      "llama tied",
      ModelConfiguration(
        family: .llama, vocabularySize: 11, maximumSequenceLength: sequenceLength, layerCount: 1,
        hiddenSize: 12, headCount: 4, keyValueHeadCount: 1, headSize: 2, intermediateSize: 20,
        tiedEmbeddings: true)
    ),
  ]

  /// The precisions that layouts are verified in.
  static let precisions: [PrecisionPolicy] = [.fp32, .bf16SummingInFloat32, .bf16, .fp16]

  /// Tokens of a sequence where nothing else is needed: what sequence parallelism divides over 2, 3, 4, 6 and 8
  /// ranks.
  package static let sequenceLength = 24

  /// Tokens of a sequence that every tensor degree of the model divides, up to so many ranks: at least 24.
  package static func sequenceLength(_ model: ModelConfiguration, maximumRanks: Int) -> Int {
    func commonDivisor(_ a: Int, _ b: Int) -> Int { b == 0 ? a : commonDivisor(b, a % b) }
    let multiple = (1...maximumRanks).filter { model.tensorDegreeProblem($0) == nil }
      .reduce(1) { $0 / commonDivisor($0, $1) * $1 }
    return (sequenceLength + multiple - 1) / multiple * multiple
  }

  /// A model of the same kind as the user's, small enough for hundreds of layouts: heads and their groups, tying,
  /// rotary scaling and everything else that layouts can get wrong stay.
  package static func cutDown(_ model: ModelConfiguration, maximumRanks: Int) -> ModelConfiguration {
    var small = model
    small.layerCount = min(model.layerCount, 2)
    small.vocabularySize = min(model.vocabularySize, 37)
    small.maximumSequenceLength = sequenceLength(model, maximumRanks: maximumRanks) + 1
    small.headSize = 2
    let width = model.headCount * small.headSize
    small.hiddenSize = model.family == .gpt2 ? width : min(model.hiddenSize, width)
    small.intermediateSize = 2 * model.headCount
    return small
  }
}

/// What is recomputed in a verified layout.
package enum VerifiedRecomputation: String, Hashable, Sendable, CaseIterable {
  case none, selective, full
  /// The first layer in full, the others selectively.
  case byLayer = "by layer"
  /// The cheaper half of what a byte budget could give up, of the last of it in one layer only.
  case budget

  /// What the program of `model` is recorded with, otherwise as `settings` say.
  func settings(
    _ model: ModelConfiguration, _ settings: TrainingProgramSettings
  ) -> RecomputationSettings {
    switch self {
    case .none: return .none
    case .selective: return .selective
    case .full: return .full
    case .byLayer:
      let layers = LayerSet(1..<model.layerCount)
      return .layers(
        [LayerRecomputation(.full, layers: LayerSet([0]))]
          + (layers.ranges.isEmpty ? [] : [LayerRecomputation(.selective, layers: layers)]))
    case .budget:
      var whole = settings
      (whole.recomputation, whole.isFused) = (.none, false)
      let ladder = StepProgram.training(model, whole).recomputationLadder
      return .repeating(ladder.positions(rungs: (ladder.rungs.count + 1) / 2, layersOfLast: 1))
    }
  }
}
