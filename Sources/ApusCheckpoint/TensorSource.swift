/// Something that holds named tensors and gives any slice of them: a checkpoint or a Hugging Face folder.
package protocol TensorSource {
  /// The global shape of a tensor.
  func shape(of name: String) throws(CheckpointError) -> [Int]

  /// Reads the slice that starts at `start` and reaches over `extents` as float32, row-major.
  ///
  /// - Parameter destination: room for the product of `extents` numbers.
  func read(
    _ name: String, into destination: UnsafeMutablePointer<Float>, start: [Int], extents: [Int]
  ) throws(CheckpointError)
}

extension TensorSource {
  /// Reads a whole tensor as float32, row-major.
  package func read(_ name: String, into destination: UnsafeMutablePointer<Float>) throws(CheckpointError) {
    let shape = try shape(of: name)
    try read(name, into: destination, start: shape.map { _ in 0 }, extents: shape)
  }
}

/// The box of a slice, once it is known to lie in the tensor.
func checkedBox(_ name: String, start: [Int], extents: [Int], in shape: [Int]) throws(CheckpointError) -> Box
{
  guard start.count == extents.count, Box(start: start, extents: extents).fits(shape) else {
    throw .outsideTensor(name: name, requested: "the slice at \(start) of extents \(extents)", shape: shape)
  }
  return Box(start: start, extents: extents)
}
