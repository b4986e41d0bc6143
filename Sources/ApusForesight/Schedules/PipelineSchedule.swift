/// In which order the devices of a pipeline work on the micro-batches of a step.
///
/// Each case is a pure function of (devices, micro-batches): `orders(devices:microbatches:)`.
package enum PipelineSchedule: Hashable, Sendable {
  /// A micro-batch passes forward and backward through all stages before the next one enters.
  case naive
  /// All forward passes, then all backward passes (Huang et al. 2019, GPipe).
  case allForwardAllBackward
  /// After a warm-up, one forward and one backward pass in turn (Narayanan et al. 2019, PipeDream-Flush).
  case oneForwardOneBackward
  /// Several chunks of layers a device (Narayanan et al. 2021, section 2.2), with at least `group` micro-batches
  /// in a row on one chunk (Llama Team 2024, section 3.3.2). nil: as many as devices, depth first; as many as
  /// micro-batches: breadth first.
  case interleaved(chunks: Int, group: Int?)
  /// Backward in two halves, memory of `oneForwardOneBackward`, a third of its bubble (Qi et al. 2023).
  case zeroBubbleH1
  /// Backward in two halves, no bubble inside a device's work, about twice the memory (Qi et al. 2023).
  case zeroBubbleH2
  /// Micro-batches enter from both ends, and every device holds two stages (DeepSeek-AI 2024, section 3.2.1).
  case dualPipe

  /// Chunks of layers that a device holds.
  package var chunks: Int {
    switch self {
    case .interleaved(let chunks, _): chunks
    case .dualPipe: 2
    default: 1
    }
  }

  /// Whether every micro-batch passes through every chunk; under DualPipe each takes one of the two.
  package var isBidirectional: Bool { self == .dualPipe }

  /// Stages that the layers are divided into.
  package func stages(devices: Int) -> Int { isBidirectional ? devices : devices * chunks }

  /// As on the command line and in tables.
  package var name: String {
    switch self {
    case .naive: "naive"
    case .allForwardAllBackward: "afab"
    case .oneForwardOneBackward: "1f1b"
    case .interleaved: "interleaved"
    case .zeroBubbleH1: "zb-h1"
    case .zeroBubbleH2: "zb-h2"
    case .dualPipe: "dualpipe"
    }
  }

  /// Every name that `init(name:)` knows.
  package static let names = ["naive", "afab", "1f1b", "interleaved", "zb-h1", "zb-h2", "dualpipe"]

  /// The schedule of that name; `chunks` and `group` matter to the interleaved one alone.
  package init?(name: String, chunks: Int = 2, group: Int? = nil) {
    switch name {
    case "naive": self = .naive
    case "afab": self = .allForwardAllBackward
    case "1f1b": self = .oneForwardOneBackward
    case "interleaved": self = .interleaved(chunks: chunks, group: group)
    case "zb-h1": self = .zeroBubbleH1
    case "zb-h2": self = .zeroBubbleH2
    case "dualpipe": self = .dualPipe
    default: return nil
    }
  }

  /// What every device does, in order.
  ///
  /// - Throws: `ForesightError.impossibleSchedule` where the schedule is not defined for these numbers.
  package func orders(devices: Int, microbatches: Int) throws(ForesightError) -> PipelineOrders {
    try check(devices: devices, microbatches: microbatches)
    let orders = (0..<devices).map { actions(device: $0, of: devices, microbatches: microbatches) }
    return PipelineOrders(
      schedule: self, devices: devices, microbatches: microbatches, orders: orders)
  }

  /// What one device does, in order; the numbers must have passed `check`.
  package func actions(device: Int, of devices: Int, microbatches: Int) -> [PipelineAction] {
    switch self {
    case .naive:
      (0..<microbatches).flatMap { [PipelineAction(.forward, $0), PipelineAction(.backward, $0)] }
    case .allForwardAllBackward:
      (0..<microbatches).map { PipelineAction(.forward, $0) }
        + (0..<microbatches).map { PipelineAction(.backward, $0) }
    case .oneForwardOneBackward:
      Self.alternating(
        forwards: (0..<microbatches).map { PipelineAction(.forward, $0) },
        backwards: (0..<microbatches).map { PipelineAction(.backward, $0) },
        warmUp: devices - device - 1)
    case .interleaved(let chunks, let group):
      InterleavedOrder(devices: devices, microbatches: microbatches, chunks: chunks, group: group)
        .actions(device: device)
    case .zeroBubbleH1, .zeroBubbleH2:
      ZeroBubbleOrder(devices: devices, microbatches: microbatches, isSecond: self == .zeroBubbleH2)
        .actions(device: device)
    case .dualPipe:
      DualPipeOrder.actions(device: device, of: devices, microbatches: microbatches)
    }
  }

  /// `warmUp` forwards, then forward and backward in turn, then the backwards that are left.
  static func alternating(
    forwards: [PipelineAction], backwards: [PipelineAction], warmUp: Int
  ) -> [PipelineAction] {
    let warmUp = min(warmUp, forwards.count)
    var order = Array(forwards[..<warmUp])
    order.reserveCapacity(2 * forwards.count)
    for index in 0..<forwards.count - warmUp {
      order.append(forwards[warmUp + index])
      order.append(backwards[index])
    }
    return order + backwards[(forwards.count - warmUp)...]
  }

  /// Whether the schedule is defined for these numbers.
  package func check(devices: Int, microbatches: Int) throws(ForesightError) {
    func refuse(_ problem: String) -> ForesightError { .impossibleSchedule("schedule \(name): \(problem)") }
    guard devices >= 1, microbatches >= 1 else {
      throw refuse("needs at least 1 stage and 1 micro-batch, found \(devices) and \(microbatches)")
    }
    switch self {
    case .interleaved(let chunks, let group):
      guard chunks >= 1 else { throw refuse("needs at least 1 chunk of layers a device, found \(chunks)") }
      let group = group ?? min(devices, microbatches)
      guard group >= min(devices, microbatches), group <= microbatches else {
        throw refuse(
          "\(group) micro-batches in a row on a chunk; use \(min(devices, microbatches)) (depth first) to "
            + "\(microbatches) (breadth first)")
      }
    case .dualPipe:
      guard devices.isMultiple(of: 2) else {
        throw refuse("needs an even number of devices, found \(devices)")
      }
      guard microbatches.isMultiple(of: 2), microbatches >= 2 * devices else {
        throw refuse(
          "needs an even number of micro-batches, at least twice the \(devices) devices; found \(microbatches)"
        )
      }
    default: break
    }
  }
}
