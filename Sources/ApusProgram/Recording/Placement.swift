/// How a tensor lies over the ranks of the tensor axis, and how its gradient will arrive.
public enum Placement: Hashable, Sendable {
  /// The same on every rank; its gradient arrives whole.
  case invariant
  /// The same on every rank; its gradient arrives as a partial sum on each.
  case replicated
  /// Each rank holds a term of the sum.
  case partialSum
  /// Each rank holds an equal part.
  case sharded(TensorDimension)

  /// The placement of the gradient.
  package var dual: Placement {
    switch self {
    case .replicated: .partialSum
    case .partialSum: .replicated
    case .invariant, .sharded: self
    }
  }

  package var text: String {
    switch self {
    case .invariant: "invariant"
    case .replicated: "replicated"
    case .partialSum: "partial sum"
    case .sharded(.rows): "sharded by rows"
    case .sharded(.columns): "sharded by columns"
    }
  }
}

/// A dimension of a matrix.
public enum TensorDimension: Hashable, Sendable { case rows, columns }
