/// Where the tokens of a step come from. Pure: the same step and sample always give the same tokens, so a
/// resumed run needs no state but its step.
package protocol BatchSource {
  /// Writes inputs and targets of samples `first..<first + count` of the whole run; sample i of step s has
  /// index (s - 1) · samples a step + i. A target below zero is not counted.
  func fill(
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
    count: Int
  ) throws
}
