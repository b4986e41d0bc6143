import ApusCore

/// What a machine can get wrong while a program is made ready to run.
package enum RuntimeFailure: Error, CustomStringConvertible, Sendable {
  /// The operating system refused the arena.
  case mapping(bytes: Int, reason: String)
  /// The plan is larger than the memory that is free.
  case doesNotFit(needed: Int, available: Int, largest: [(name: String, byteCount: Int)], remedy: String)
  /// The matrix library refused a product.
  case matrixLibrary(label: String, reason: String)
  /// The layout has an axis that is recorded and planned, but that nothing runs along.
  case notRun(axis: MeshAxis, degree: Int)
  /// The model has operations that are recorded and planned, but that there are no kernels for.
  case noExperts
  /// Accesses to the arena cannot be watched here.
  case watching(reason: String)

  /// Whether the machine has too little memory for what was asked.
  package var isOfMemory: Bool {
    switch self {
    case .mapping, .doesNotFit: true
    default: false
    }
  }

  package var description: String {
    switch self {
    case .mapping(let bytes, let reason):
      return "cannot map an arena of \(ByteCount(bytes)): \(reason); use a smaller model or micro-batch"
    case .doesNotFit(let needed, let available, let largest, let remedy):
      let names = largest.map { "\($0.name) \(ByteCount($0.byteCount))" }.joined(separator: ", ")
      return "a step needs \(ByteCount(needed)) but \(ByteCount(available)) of memory are available; "
        + "largest: \(names); \(remedy)"
    case .matrixLibrary(let label, let reason):
      return "the matrix library refused a product of \(label): \(reason)"
    case .notRun(let axis, let degree):
      return
        "\(axis.rawValue) parallel degree \(degree) can be planned but not run yet: use 1 to train, or apus "
        + "estimate and apus plan to foresee it"
    case .noExperts:
      return
        "a mixture of experts can be planned but not run yet: remove model.experts to train, or use apus "
        + "estimate and apus plan to foresee it"
    case .watching(let reason):
      return "accesses to memory cannot be watched on this system: \(reason)"
    }
  }
}
