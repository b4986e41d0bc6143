import ApusCore

/// A kind of work on tensors: its cost and what it permits. One value type a file under `Operations/`,
/// with its mathematics, result rule, gradient rule, FLOPs and bytes.
package protocol Operation: Hashable, Sendable {
  /// The enum case that wraps this operation; a new operation does not compile until `Op` knows it.
  var op: Op { get }
  /// Name in traces and tables.
  static var name: String { get }
  /// Matrix FLOPs and memory bytes of one call.
  func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost
  /// Pairs (output, input) that may share memory when the input is not read later. The planner decides.
  var inPlace: [InPlacePermission] { get }
}

/// Permission for an output to lie where an input lies.
package struct InPlacePermission: Hashable, Sendable {
  package var output: Int
  package var input: Int
}

/// An operation that a model may record: it states its results and its gradient.
package protocol ForwardOperation: Operation {
  /// Shapes and types of the results; stops with both numbers on an illegal combination.
  func results(_ inputs: [Tensor]) -> [Signature]
  /// Emits the instructions that carry the gradients of `call`'s outputs to its inputs.
  func differentiate(_ pass: inout GradientPass, _ call: Instruction)
}

extension Operation {
  package var inPlace: [InPlacePermission] { [] }

  /// No matrix FLOPs; every operand crosses memory once, an accumulated output twice.
  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: Self.bytes(inputs, outputs))
  }

  static func bytes(_ inputs: [Tensor], _ outputs: [Destination]) -> Int {
    inputs.reduce(0) { $0 + $1.byteCount }
      + outputs.reduce(0) { $0 + $1.tensor.byteCount * ($1.mode == .overwrite ? 1 : 2) }
  }
}
