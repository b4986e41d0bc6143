import ApusCore

/// Consecutive layers of a model that run as one: a stage that a micro-batch passes.
package struct StagePart: Hashable, Sendable {
  package var layers: Range<Int>
  /// Whether it begins with the embeddings, and whether it ends with the last norm, the head and the loss.
  package var hasEmbedding: Bool
  package var hasHead: Bool

  package init(layers: Range<Int>, hasEmbedding: Bool, hasHead: Bool) {
    self.layers = layers
    self.hasEmbedding = hasEmbedding
    self.hasHead = hasHead
  }
}

/// Which device of a pipeline a program is recorded for, and how layers are shared out to the stages.
///
/// A micro-batch passes `devices x chunks` stages; stage i lies on device i mod devices (Narayanan et al. 2021,
/// section 2.2), so that with one chunk device and stage are the same.
package struct PipelinePlace: Hashable, Sendable {
  /// The coordinate on the pipeline axis.
  package var device: Int
  /// Stages on each device.
  package var chunks: Int
  /// Layers of each stage in the order in which a micro-batch passes them; nil shares them out evenly.
  package var layerCounts: [Int]?

  package init(device: Int = 0, chunks: Int = 1, layerCounts: [Int]? = nil) {
    self.device = device
    self.chunks = chunks
    self.layerCounts = layerCounts
  }

  /// Layers of each of so many stages: the first ones take what is left over.
  package static func even(layerCount: Int, stages: Int) -> [Int] {
    (0..<stages).map { layerCount / stages + ($0 < layerCount % stages ? 1 : 0) }
  }

  /// What the device holds: one part a chunk, in the order in which a micro-batch passes them.
  package func parts(layerCount: Int, devices: Int) -> [StagePart] {
    let stages = devices * chunks
    let counts = layerCounts ?? Self.even(layerCount: layerCount, stages: stages)
    require(
      counts.count == stages && counts.reduce(0, +) == layerCount,
      "pipeline: \(counts) layers for \(stages) stages of a model with \(layerCount)")
    require((0..<devices).contains(device), "pipeline: device \(device) of \(devices)")
    return stride(from: device, to: stages, by: devices).map { stage in
      let first = counts[..<stage].reduce(0, +)
      return StagePart(
        layers: first..<first + counts[stage], hasEmbedding: stage == 0, hasHead: stage == stages - 1)
    }
  }
}
