import ApusCore

/// What a piece of memory holds over a step; decides where the plan puts it and how reports count it.
package enum Role: String, Sendable, Hashable, Codable, CaseIterable {
  /// Weights as forward and backward read them. Persistent.
  case parameter
  /// Sums of the parameters' gradients over a step's micro-batches. Persistent, unless a step has only one.
  case gradient
  /// AdamW's moments, and float32 master weights where the weights are shorter. Persistent.
  case optimizerState
  /// Token ids, tables and the control tensor: written by the host before a step. Persistent.
  case input
  /// Loss, norm and per-token losses: read by the host after a step. Persistent.
  case result
  /// Keys and values of earlier positions while text is generated. Persistent.
  case cache
  /// Values that instructions hand to later instructions of the same micro-batch, gradients of
  /// activations included. Transient.
  case activation
  /// Parameters gathered from other ranks, and gradients on their way to them. Transient.
  case communication
  /// Memory that a backend needs while one instruction runs. Transient.
  case workspace

  /// Whether such memory usually keeps its content between the segments of a step.
  package var isPersistent: Bool {
    switch self {
    case .activation, .communication, .workspace: false
    case .parameter, .gradient, .optimizerState, .input, .result, .cache: true
    }
  }
}

/// One contiguous piece of memory that the plan places: a name, a size and a role, but no address.
package struct Storage: Hashable, Sendable {
  package var name: String
  package var role: Role
  package var type: ElementType
  package var count: Int
  /// Whether a step fills it once and has used it up at its end, though its role is one of those that stay: other
  /// values may have its place before and after.
  package var isUsedUp = false

  /// Whether it keeps its content between the segments of a step and from step to step.
  package var isPersistent: Bool { role.isPersistent && !isUsedUp }
  package var byteCount: Int { count * type.byteCount }
}

/// A dense row-major matrix inside a storage: plain data that owns no memory and knows no address.
///
/// A vector has one row. Views (a parameter inside its unit, a range of rows) are tensors of the same
/// storage with another offset and shape.
public struct Tensor: Hashable, Sendable {
  /// Index into the program's storages.
  package var storage: Int
  package var type: ElementType
  /// Elements between the storage's start and this tensor's.
  package var offset: Int
  public package(set) var rows: Int
  public package(set) var columns: Int
  /// How it lies over the tensor axis.
  package var placement = Placement.invariant
  /// Elements by which the tensor lies further behind on each rank of an axis, when it is a rank's own part of
  /// something that all of them hold.
  package var shift: ShardSlice?

  public var count: Int { rows * columns }
  package var byteCount: Int { count * type.byteCount }
  /// The gradient's placement follows from the tensor's.
  var gradientSignature: Signature { Signature(rows, columns, type, placement.dual) }

  /// `count` rows from row `first` on.
  package func rows(from first: Int, _ count: Int) -> Tensor {
    var view = self
    view.offset += first * columns
    view.rows = count
    return view
  }

  /// `count` elements of a vector from element `first` on.
  package func columns(from first: Int, _ count: Int) -> Tensor {
    var view = self
    view.offset += first
    view.columns = count
    return view
  }

  package var shapeText: String { "[\(rows), \(columns)]" }
}

/// Shape, element type and placement of a result, as an operation's rule states it.
package struct Signature: Hashable, Sendable {
  package var rows: Int
  package var columns: Int
  package var type: ElementType
  package var placement: Placement

  package init(
    _ rows: Int, _ columns: Int, _ type: ElementType = .float32, _ placement: Placement = .invariant
  ) {
    self.rows = rows
    self.columns = columns
    self.type = type
    self.placement = placement
  }

  package init(like tensor: Tensor) {
    self.init(tensor.rows, tensor.columns, tensor.type, tensor.placement)
  }
}
