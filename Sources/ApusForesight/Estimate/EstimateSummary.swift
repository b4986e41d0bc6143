import ApusCore
import ApusProgram

/// An estimate as `apus estimate --json` prints it: stable names, bytes as whole numbers.
/// `docs/memory.md` describes each key.
package struct EstimateSummary: Encodable, Sendable {
  package struct Bytes: Encodable, Sendable {
    let parameter, gradient, optimizerState, activation, workspace, input, result, communication: Int
    let sharedByGradients: Int

    enum CodingKeys: String, CodingKey {
      case parameter, gradient, activation, workspace, input, result, communication
      case optimizerState = "optimizer_state"
      case sharedByGradients = "shared_by_gradients"
    }
  }

  package struct Exchange: Encodable, Sendable {
    let axis, primitive: String
    let calls, payload: Int
    let sent: Double

    enum CodingKeys: String, CodingKey {
      case axis, primitive, calls
      case payload = "payload_bytes"
      case sent = "sent_bytes"
    }
  }

  package struct Saved: Encodable, Sendable {
    struct Item: Encodable, Sendable {
      let name: String
      let rows, columns, bytes: Int
      let readers: [String]

      enum CodingKeys: String, CodingKey {
        case name, rows, columns, bytes
        case readers = "read_by"
      }
    }

    let bytes, bytesOfLayer: Int
    let layer, others: [Item]

    enum CodingKeys: String, CodingKey {
      case bytes, layer, others
      case bytesOfLayer = "bytes_per_layer"
    }
  }

  package struct Large: Encodable, Sendable {
    let name, role: String
    let bytes, count: Int
  }

  package struct Growing: Encodable, Sendable {
    let firstPassPeak, optimizerStep, laterPassPeak: Int

    enum CodingKeys: String, CodingKey {
      case firstPassPeak = "first_pass_peak_bytes"
      case optimizerStep = "optimizer_step_bytes"
      case laterPassPeak = "later_pass_peak_bytes"
    }
  }

  package let model: String
  let microBatchSize, sequenceLength, accumulation, tokensOfStep: Int
  let ranks: Int
  let communication: [Exchange]
  let parameters, parametersFormula: Int
  let parametersDeviations: [Deviation]
  let bytes: Bytes
  let planned, lowerBound: Int
  let waste: Double
  let peakOfFirstStep, peakOfLaterSteps, peakOfSaving: Int
  let growing: Growing
  let flopsOfStep, flopsFormula: Double
  let flopsDeviations: [Deviation]
  let saved: Saved
  let largest: [Large]
  let available: Int
  let fits: Bool
  let largestMicroBatch: Int

  enum CodingKeys: String, CodingKey {
    case model, parameters, bytes, waste, fits
    case microBatchSize = "micro_batch_size"
    case sequenceLength = "sequence_length"
    case ranks, communication
    case accumulation = "gradient_accumulation"
    case tokensOfStep = "tokens_per_step"
    case parametersFormula = "parameters_formula"
    case parametersDeviations = "parameters_difference"
    case planned = "planned_bytes"
    case lowerBound = "lower_bound_bytes"
    case peakOfFirstStep = "peak_step_1_bytes"
    case peakOfLaterSteps = "peak_later_bytes"
    case peakOfSaving = "peak_saving_bytes"
    case growing = "growing_allocator"
    case flopsOfStep = "flops_per_step"
    case flopsFormula = "flops_per_step_formula"
    case flopsDeviations = "flops_per_token_difference"
    case saved = "saved_activations"
    case largest = "largest_tensors"
    case available = "available_bytes"
    case largestMicroBatch = "largest_micro_batch_size"
  }

  /// - Parameter model: what the user called it.
  package init(_ estimate: MemoryEstimate, _ fit: MemoryFit, model: String) {
    func bytes(_ role: Role) -> Int { estimate.byteCount(of: role).bytes }
    func items(_ list: [SavedActivations.Item]) -> [Saved.Item] {
      list.map {
        Saved.Item(
          name: $0.name, rows: $0.rows, columns: $0.columns, bytes: $0.size.bytes, readers: $0.readers)
      }
    }
    let (comparison, flops) = (estimate.parameters, estimate.flops)
    let (kept, milestones) = (estimate.savedActivations, estimate.growingAllocator)
    self.model = model
    microBatchSize = estimate.settings.microBatchSize
    sequenceLength = estimate.settings.sequenceLength
    accumulation = estimate.accumulation
    tokensOfStep = estimate.tokensOfStep
    parameters = comparison.enumerated
    parametersFormula = comparison.formula
    parametersDeviations = comparison.deviations
    self.bytes = Bytes(
      parameter: bytes(.parameter), gradient: bytes(.gradient), optimizerState: bytes(.optimizerState),
      activation: bytes(.activation), workspace: bytes(.workspace), input: bytes(.input),
      result: bytes(.result), communication: bytes(.communication),
      sharedByGradients: estimate.sharedByGradients.bytes)
    ranks = estimate.settings.layout.worldSize
    communication = estimate.exchanges.map {
      Exchange(
        axis: $0.axis.rawValue, primitive: $0.kind.rawValue, calls: $0.volume.calls,
        payload: $0.volume.payloadBytes, sent: $0.volume.ringBytes)
    }
    planned = estimate.planned.bytes
    lowerBound = estimate.lowerBound.bytes
    waste = estimate.plan.waste
    peakOfFirstStep = estimate.peakOfFirstStep.bytes
    peakOfLaterSteps = estimate.peakOfLaterSteps.bytes
    peakOfSaving = estimate.peakOfSaving.bytes
    growing = Growing(
      firstPassPeak: milestones.firstPassPeak.bytes, optimizerStep: milestones.optimizerStep.bytes,
      laterPassPeak: milestones.laterPassPeak.bytes)
    flopsOfStep = estimate.perStep(flops.counted)
    flopsFormula = estimate.perStep(flops.formula)
    flopsDeviations = flops.deviationsPerToken
    saved = Saved(
      bytes: kept.bytes.bytes, bytesOfLayer: kept.bytesOfLayer.bytes, layer: items(kept.layers.first ?? []),
      others: items(kept.others))
    largest = estimate.largestTensors(10).map {
      Large(name: $0.name, role: $0.role.rawValue, bytes: $0.size.bytes, count: $0.count)
    }
    available = fit.available.bytes
    fits = fit.fits
    largestMicroBatch = fit.largestMicroBatch
  }
}
