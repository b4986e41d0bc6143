import ApusCore

/// How a parameter is divided over the tensor axis.
public enum ParameterSplit: Hashable, Sendable {
  /// Every rank holds all of it. `gradientArrivesWhole` says whether each rank computes all of its gradient, or
  /// a term of it, as from a part of the tokens.
  case whole(gradientArrivesWhole: Bool)
  /// Each rank holds an equal part of each section along a dimension.
  case along(TensorDimension, [Section])

  /// A stretch of rows or columns that is divided by itself, such as the queries of a fused matrix.
  public struct Section: Hashable, Sendable {
    /// The published tensor that these rows are; nil where the whole parameter is one published tensor.
    package var name: String?
    /// Rows or columns over all ranks.
    package var extent: Int
    package var axis: MeshAxis

    package init(name: String? = nil, _ extent: Int, over axis: MeshAxis = .tensor) {
      self.name = name
      self.extent = extent
      self.axis = axis
    }

    /// Rows or columns on each of `mesh`'s ranks; the last ranks' may exceed the extent and are padding then.
    func localExtent(on mesh: Mesh) -> Int {
      let degree = mesh.degree(of: axis)
      return (extent + degree - 1) / degree
    }
  }

  /// Over the tensor axis. Experts are divided over their own; tensor ranks hold all of a rank's and give them their own
  /// tokens.
  var placement: Placement {
    switch self {
    case .whole(let whole): whole ? .invariant : .replicated
    case .along(_, let sections) where sections.allSatisfy { $0.axis == .expert }: .replicated
    case .along(let dimension, _): .sharded(dimension)
    }
  }
}
