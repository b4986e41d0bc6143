import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  @Test(arguments: [(2, 6), (3, 24), (4, 64)])
  func rotary(_ heads: Int, _ headSize: Int) {
    let (T, S, start) = (90, 30, 5)
    let width = heads * headSize + 11
    let x = Self.numbers(T * width, seed: 1)
    let cosines = Self.numbers((S + start) * headSize / 2, seed: 2)
    let sines = Self.numbers((S + start) * headSize / 2, seed: 3)
    for direction in [1, -1] {
      let run = { (out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>) in
        apus_rotary_f32(
          out, x, cosines, sines, Int64(T), Int64(width), Int64(heads), Int64(headSize), Int64(S),
          Int64(start), Int32(direction))
      }
      let refer = { (out: UnsafeMutablePointer<Double>, x: UnsafePointer<Double>) in
        Reference<Double>.rotary(
          out, x, cosines.doubles, sines.doubles, T, width, heads, headSize, S, start, direction)
      }
      let unset = [Float](repeating: 0, count: T * width)
      Self.compare("rotary", [unset], within: Tolerance(absolute: 3e-7, relative: 0)) {
        run($0[0], x)
      } reference: {
        refer($0[0], x.doubles)
      }
      Self.compare("rotary in place", [x], within: Tolerance(absolute: 3e-7, relative: 0)) {
        run($0[0], $0[0])
      } reference: {
        refer($0[0], $0[0])
      }
    }
  }
}
