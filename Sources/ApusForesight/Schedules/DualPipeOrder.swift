/// DualPipe (DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", section 3.2.1): half of the micro-batches enter at
/// each end, and each device holds the stages `device` (chunk 0) and `devices - 1 - device` (chunk 1).
///
/// From its own end ("near") a device sees micro-batches early, from the other ("far") late. It works in eight
/// phases; in the long fourth one a forward of one direction runs joined with a backward of the other, so that the
/// transfers of each hide behind the other. Near the ends backward is split, and weight gradients fill the gaps.
struct DualPipeOrder {
  /// Directions by where micro-batches enter, seen from the device.
  private enum Direction { case near, far }

  private let chunkOfNear: Int
  private let half: Int
  private var order: [PipelineAction] = []
  private var forwardCount = [0, 0]
  private var backwardCount = [0, 0]
  private var waitingWeights: [PipelineAction] = []

  static func actions(device: Int, of devices: Int, microbatches: Int) -> [PipelineAction] {
    var work = DualPipeOrder(device: device, of: devices, microbatches: microbatches)
    // Distance to the nearer end, and how many devices lie between this one and the middle.
    let toEnd = min(device, devices - 1 - device)
    let toMiddle = devices / 2 - toEnd - 1
    for _ in 0..<2 * toMiddle { work.forward(.near) }
    for _ in 0...toEnd {
      work.forward(.near)
      work.forward(.far)
    }
    for _ in 0..<toMiddle {
      work.backwardInput(.far)
      work.weights()
      work.forward(.far)
    }
    for round in 0..<microbatches / 2 - devices + toEnd + 1 {
      // The two devices of the middle hand their first micro-batches to each other and would only wait longer.
      work.joined(forward: .near, backward: .far, apart: round == 0 && toMiddle == 0)
      work.joined(forward: .far, backward: .near)
    }
    for _ in 0..<toMiddle {
      work.backward(.far)
      work.joined(forward: .far, backward: .near)
    }
    // The second half of these keep their weight gradients for later.
    for index in 0..<2 * (toEnd + 1) {
      let direction: Direction = index.isMultiple(of: 2) ? .far : .near
      if index > toEnd { work.backwardInput(direction) } else { work.backward(direction) }
    }
    for _ in 0..<toMiddle {
      work.weights()
      work.backwardInput(.near)
    }
    for _ in 0...toEnd { work.weights() }
    return work.order
  }

  private init(device: Int, of devices: Int, microbatches: Int) {
    chunkOfNear = device < devices / 2 ? 0 : 1
    half = microbatches / 2
  }

  private func chunk(_ direction: Direction) -> Int { direction == .near ? chunkOfNear : 1 - chunkOfNear }

  /// The next action of a kind in a direction. Micro-batches of the first half travel through chunk 0.
  private func next(_ work: PipelineAction.Work, _ direction: Direction, _ counts: inout [Int])
    -> PipelineAction
  {
    let chunk = chunk(direction)
    defer { counts[chunk] += 1 }
    return PipelineAction(work, counts[chunk] + chunk * half, chunk: chunk)
  }

  private mutating func forward(_ direction: Direction) {
    order.append(next(.forward, direction, &forwardCount))
  }

  private mutating func backward(_ direction: Direction) {
    order.append(next(.backward, direction, &backwardCount))
  }

  private mutating func backwardInput(_ direction: Direction) {
    let action = next(.backwardInput, direction, &backwardCount)
    order.append(action)
    waitingWeights.append(PipelineAction(.backwardWeight, action.microbatch, chunk: action.chunk))
  }

  private mutating func weights() { order.append(waitingWeights.removeFirst()) }

  private mutating func joined(forward: Direction, backward: Direction, apart: Bool = false) {
    self.forward(forward)
    order[order.count - 1].joinsNext = !apart
    self.backward(backward)
  }
}
