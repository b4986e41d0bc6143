import ApusCore

/// How a parameter is filled before the first step.
public enum Initializer: Hashable, Sendable {
  case zeros
  case ones
  /// Normal numbers of mean zero, drawn by (seed, name, global index): the same in every layout.
  case normal(deviation: Double)
}

/// A stretch of rows of a parameter that is a tensor of its own in published files: queries, keys and values
/// are three such parts of one fused matrix.
package struct ExchangePart: Hashable, Sendable {
  /// The published name.
  package var name: String
  /// The published shape, `[D]` or `[rows, columns]`.
  package var shape: [Int]
  /// First row inside the parameter.
  package var row: Int

  package var count: Int { shape.reduce(1, *) }
}

/// A weight of the model: a tensor inside its unit's flat buffer.
package struct Parameter: Hashable, Sendable {
  package var name: String
  package var tensor: Tensor
  package var initializer: Initializer
  /// Whether weight decay applies by default: to matrices, not to norms and biases.
  package var isMatrix: Bool
  package var parts: [ExchangePart]
}

/// Parameters that are stored, updated and later communicated together: a layer's weights side by side in
/// one flat buffer, each starting at a multiple of 16 elements.
public struct ParameterUnit: Hashable, Sendable {
  package var name: String
  package var parameters: [Parameter]
  /// The flat buffer, `[1, count]`, in the type that forward and backward compute in.
  package var weights: Tensor
  /// Float32 weights that the optimizer updates and rounds into `weights`, where those are shorter. They are
  /// the weights of record: initialised, saved and read.
  package var master: Tensor?
  /// Buffers of the same layout, present when training.
  package var gradients: Tensor?
  package var firstMoment: Tensor?
  package var secondMoment: Tensor?

  /// The weights that are saved and read: the master where there is one.
  package var weightsOfRecord: Tensor { master ?? weights }

  /// The stretch of `buffer`, one of the unit's, that holds what belongs to a parameter or a part of it.
  package func view(of parameter: Tensor, in buffer: Tensor) -> Tensor {
    var tensor = parameter
    tensor.storage = buffer.storage
    tensor.type = buffer.type
    return tensor
  }

  /// The gradient of a parameter: the same stretch of the gradient buffer.
  package func gradient(of parameter: Tensor) -> Tensor {
    guard let gradients else {
      require(false, "\(name): this program has no gradients")
      return parameter
    }
    return view(of: parameter, in: gradients)
  }
}
