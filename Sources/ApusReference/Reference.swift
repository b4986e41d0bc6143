import Foundation

// Shapes: T tokens (rows), D hidden size, F intermediate size, V vocabulary, S sequence length.
// All matrices are row-major; a stride counts elements between rows.

/// Scalar definitions of every kernel, one loop nest each, in `Float` or `Double`.
///
/// These say what the C kernels of `apus_kernels.h` compute: the same names, the same order of parameters,
/// the same meaning of `accumulate` (add to the output instead of overwriting it). They are slow on purpose.
/// In `Double` they serve finite-difference tests; the C kernels are compared with them.
package enum Reference<Scalar: BinaryFloatingPoint> {
  /// Elements that an operation reads.
  package typealias Input = UnsafePointer<Scalar>
  /// Elements that an operation writes, or adds to.
  package typealias Output = UnsafeMutablePointer<Scalar>

  static func exponential(_ x: Scalar) -> Scalar { Scalar(exp(Double(x))) }
  static func logarithm(_ x: Scalar) -> Scalar { Scalar(log(Double(x))) }
  static func hyperbolicTangent(_ x: Scalar) -> Scalar { Scalar(tanh(Double(x))) }

  /// output = value, or output += value.
  static func store(_ value: Scalar, _ output: Output, _ accumulate: Bool) {
    output.pointee = accumulate ? output.pointee + value : value
  }
}
