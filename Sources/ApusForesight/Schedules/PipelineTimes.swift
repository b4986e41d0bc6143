/// How long the stages of a pipeline take for one micro-batch. Any unit of time.
package struct PipelineTimes: Hashable, Sendable {
  /// One stage.
  package struct Stage: Hashable, Sendable {
    package var forward, backwardInput, backwardWeight: Double
    /// Both halves of backward in one go; may differ from their sum.
    package var backward: Double

    /// - Parameter backward: nil means the sum of the halves.
    package init(forward: Double, backwardInput: Double, backwardWeight: Double, backward: Double? = nil) {
      self.forward = forward
      self.backwardInput = backwardInput
      self.backwardWeight = backwardWeight
      self.backward = backward ?? backwardInput + backwardWeight
    }

    package subscript(work work: PipelineAction.Work) -> Double {
      switch work {
      case .forward: forward
      case .backward: backward
      case .backwardInput: backwardInput
      case .backwardWeight: backwardWeight
      }
    }
  }

  package var stages: [Stage]
  /// From stage i to stage i + 1, and gradients back; one fewer than stages.
  package var transfers: [Double]
  /// What a joined forward and backward take of the sum of their times: 1 hides nothing of one behind the other.
  package var joinedShare: Double

  package init(stages: [Stage], transfers: [Double]? = nil, joinedShare: Double = 1) {
    self.stages = stages
    self.transfers = transfers ?? Array(repeating: 0, count: max(0, stages.count - 1))
    self.joinedShare = joinedShare
  }

  /// Equal devices: forward, backward for inputs and for weights of all layers of one device, which its chunks
  /// share evenly.
  package init(
    _ orders: PipelineOrders, forward: Double, backwardInput: Double, backwardWeight: Double,
    transfer: Double = 0
  ) {
    let share = Double(orders.stageCount / orders.devices)
    let stage = Stage(
      forward: forward / share, backwardInput: backwardInput / share, backwardWeight: backwardWeight / share)
    self.init(
      stages: Array(repeating: stage, count: orders.stageCount),
      transfers: Array(repeating: transfer, count: orders.stageCount - 1))
  }
}
