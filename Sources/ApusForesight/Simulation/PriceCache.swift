import ApusModels
import Synchronization

/// Prices of layers that were recorded before. Many layouts share them: neither data nor pipeline degree, nor
/// sharding, nor accumulation changes a layer's program.
final class PriceCache: Sendable {
  /// All that a layer's prices depend on beside the constants.
  private struct Key: Hashable {
    var model: ModelConfiguration
    var tensor, context, microBatchSize, sequenceLength: Int
    var sequenceParallel, keepsGathered: Bool
    var numbers: JobNumbers
    var attention: AttentionKernel
    var stack: SoftwareStack.Name
    var hardware: String
    var peak, sustained, memoryBandwidth: Double
    var experts: ExpertShape?
    var expert: Int

    init(_ job: TrainingJob) {
      model = job.model
      model.layerCount = 1
      tensor = job.layout.tensor
      context = job.layout.context
      microBatchSize = job.layout.microBatchSize
      sequenceLength = job.sequenceLength
      sequenceParallel = job.layout.sequenceParallel
      keepsGathered = job.stack.keepsGathered(job.layout)
      numbers = job.numbers
      attention = job.attention
      stack = job.stack.name
      hardware = job.hardware.name
      peak = job.hardware.peak(job.numbers.product)
      sustained = job.hardware.sustained
      memoryBandwidth = job.hardware.memoryBandwidth
      experts = job.experts
      expert = job.experts == nil ? 1 : job.layout.expert
    }
  }

  private let known = Mutex<[Key: LayerPrices]>([:])

  func prices(of job: TrainingJob, _ constants: CostConstants) -> LayerPrices {
    let key = Key(job)
    if let present = known.withLock({ $0[key] }) { return present }
    let prices = LayerPrices(job, constants)
    known.withLock { $0[key] = prices }
    return prices
  }
}
