import ApusConfiguration
import ApusCore
import ApusModels
import ApusProgram

/// The small models on which a machine is measured: fixed shapes, never those that are asked about.
package struct CalibrationGrid {
  /// What the models' programs have in common: which kernels they run.
  package struct Subject: Hashable, Sendable {
    package var family: ModelConfiguration.Family
    package var tiedEmbeddings: Bool
    package var precision: PrecisionPolicy
    package var recomputations: [RecomputationSettings]
    package var dropouts: [Double]
    package var layouts: [ParallelLayout]
    package var communication: CommunicationPolicy

    package init(
      family: ModelConfiguration.Family, tiedEmbeddings: Bool = true, precision: PrecisionPolicy,
      recomputations: [RecomputationSettings], dropouts: [Double], layouts: [ParallelLayout],
      communication: CommunicationPolicy = CommunicationPolicy()
    ) {
      self.family = family
      self.tiedEmbeddings = tiedEmbeddings
      self.precision = precision
      self.recomputations = recomputations
      self.dropouts = dropouts
      self.layouts = layouts
      self.communication = communication
    }

    /// Programs like that of a run.
    ///
    /// - Parameter settings: whose precision, recomputation, dropout and layout count.
    package init(like model: ModelConfiguration, _ settings: TrainingProgramSettings) {
      // A policy by layer speaks of layers that the small models lack.
      let recomputations: [RecomputationSettings] =
        if case .uniform = settings.recomputation { [settings.recomputation] } else {
          [.none, .uniform(.full)]
        }
      self.init(
        family: model.family, tiedEmbeddings: model.tiedEmbeddings, precision: settings.precision,
        recomputations: recomputations, dropouts: [settings.dropout], layouts: [settings.layout],
        communication: settings.communication)
    }
  }

  /// A model and its batch, how many micro-batches a step has, and how many steps a pass times.
  package struct Point: Hashable, Sendable {
    package let hidden, layers, vocabulary, sequence, batch, microbatches, steps: Int
  }

  /// Sizes vary independently of each other, so that a curve's terms can be told apart.
  package static let points = [
    Point(hidden: 64, layers: 2, vocabulary: 512, sequence: 64, batch: 2, microbatches: 2, steps: 3),
    Point(hidden: 128, layers: 2, vocabulary: 1024, sequence: 128, batch: 2, microbatches: 1, steps: 3),
    Point(hidden: 128, layers: 1, vocabulary: 4096, sequence: 64, batch: 8, microbatches: 2, steps: 1),
    Point(hidden: 256, layers: 2, vocabulary: 1024, sequence: 128, batch: 4, microbatches: 1, steps: 2),
    Point(hidden: 192, layers: 3, vocabulary: 2048, sequence: 256, batch: 1, microbatches: 2, steps: 2),
    Point(hidden: 384, layers: 1, vocabulary: 2048, sequence: 64, batch: 8, microbatches: 1, steps: 1),
    Point(hidden: 256, layers: 2, vocabulary: 2048, sequence: 32, batch: 4, microbatches: 2, steps: 3),
    Point(hidden: 512, layers: 1, vocabulary: 4096, sequence: 128, batch: 2, microbatches: 1, steps: 1),
    // Steps of a tenth of a second, so that longer ones are not told from short ones alone.
    Point(hidden: 320, layers: 3, vocabulary: 3072, sequence: 192, batch: 4, microbatches: 1, steps: 1),
    Point(hidden: 256, layers: 4, vocabulary: 1536, sequence: 96, batch: 6, microbatches: 1, steps: 1),
  ]

  /// Whether the models' heads and sizes divide over a layout's tensor ranks.
  package static func canDivide(over layout: ParallelLayout) -> Bool {
    layout.tensor <= 16 && layout.tensor & (layout.tensor - 1) == 0
  }

  /// The model and settings of point `index` for a subject; points take turns with what a subject has several of.
  package static func program(
    _ index: Int, _ subject: Subject
  ) -> (point: Point, model: ModelConfiguration, settings: TrainingProgramSettings) {
    let point = points[index]
    let layout = subject.layouts[index % subject.layouts.count]
    // Heads, and for Llama half as many of keys and values, that the tensor axis divides.
    let wanted = point.hidden / (index.isMultiple(of: 2) ? 32 : 64)
    let heads = max(1, wanted / (2 * layout.tensor)) * 2 * layout.tensor
    let model = ModelConfiguration(
      family: subject.family, vocabularySize: point.vocabulary, maximumSequenceLength: point.sequence,
      layerCount: point.layers, hiddenSize: point.hidden, headCount: heads,
      keyValueHeadCount: subject.family == .llama ? heads / 2 : heads, headSize: point.hidden / heads,
      intermediateSize: subject.family == .llama ? point.hidden * 5 / 2 / 32 * 32 : 4 * point.hidden,
      tiedEmbeddings: subject.tiedEmbeddings)
    var settings = TrainingProgramSettings(
      microBatchSize: point.batch, sequenceLength: point.sequence,
      recomputation: subject.recomputations[index % subject.recomputations.count],
      precision: subject.precision, layout: layout, communication: subject.communication)
    settings.accumulates = point.microbatches > 1
    settings.dropout = subject.dropouts[index % subject.dropouts.count]
    return (point, model, settings)
  }
}
