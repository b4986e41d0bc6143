import ApusCore

/// A neighbour along the pipeline axis. The last device's next one is the first: a micro-batch that has passed all
/// devices enters the first one's second chunk of layers.
package enum PipelineNeighbour: String, Hashable, Sendable {
  case previous, next

  /// Its coordinate.
  package func coordinate(from position: MeshPosition) -> Int {
    let degree = position.mesh.degree(of: .pipeline)
    return (position.coordinate(on: .pipeline) + (self == .next ? 1 : degree - 1)) % degree
  }
}

/// Hands a tensor to a neighbouring stage of the pipeline. Input: x. No output. Its gradient comes back from there.
///
/// A send does not wait for its receiver: two neighbours that hand each other activations and gradients would wait
/// for ever. (Domain reference B5; Huang et al. 2019.)
package struct Send: ForwardOperation {
  package static let name = "send"
  package var op: Op { .send(self) }
  package var to: PipelineNeighbour

  package func results(_ inputs: [Tensor]) -> [Signature] { [] }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let x = call.inputs[0]
    pass.emit(
      Receive(from: to, signature: x.gradientSignature), [], to: [pass.firstDestination(x)])
  }
}

/// Takes a tensor from a neighbouring stage of the pipeline. No input. Output: of the stated shape. Its gradient
/// goes back to where it came from.
package struct Receive: ForwardOperation {
  package static let name = "receive"
  package var op: Op { .receive(self) }
  package var from: PipelineNeighbour
  package var signature: Signature

  package func results(_ inputs: [Tensor]) -> [Signature] { [signature] }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    pass.emit(Send(to: from), [pass.gradient(call, 0)], to: [])
  }
}

/// `out = 0`.
package struct Zero: Operation {
  package static let name = "zero"
  package var op: Op { .zero(self) }
}

extension StepRecorder {
  /// Hands `x` to the next stage.
  package mutating func sendToNextStage(_ x: Tensor) {
    label = "stage boundary"
    emit(Send(to: .next), [x], to: [])
  }

  /// Takes what the previous stage hands over.
  package mutating func receiveFromPreviousStage(_ signature: Signature) -> Tensor {
    label = "stage boundary"
    return record(Receive(from: .previous, signature: signature), [])[0]
  }
}

extension Instruction {
  /// A message between stages: to or from which neighbour, and the tensor that travels; nil of other instructions.
  package var message: (kind: CollectiveKind, neighbour: PipelineNeighbour, tensor: Tensor)? {
    switch op {
    case .send(let send): (.send, send.to, inputs[0])
    case .receive(let receive): (.receive, receive.from, outputs[0].tensor)
    default: nil
    }
  }
}
