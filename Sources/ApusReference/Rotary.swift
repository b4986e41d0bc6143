extension Reference {
  /// Rotates the pairs (i, i + headSize/2) of the first `heads` heads of each row by the angle of position
  /// start + t % S; the rest of the row, up to `width`, is copied. `cosines` and `sines` are
  /// P x headSize/2. `direction` is +1 forward, -1 backward (the transpose). `out` may be `x`.
  ///
  /// Source: Su et al. 2021, "RoFormer"; halves paired as in GPT-NeoX and Llama.
  package static func rotary(
    _ out: Output, _ x: Input, _ cosines: Input, _ sines: Input, _ T: Int, _ width: Int, _ heads: Int,
    _ headSize: Int, _ S: Int, _ start: Int, _ direction: Int
  ) {
    let half = headSize / 2
    for t in 0..<T {
      let angle = (start + t % S) * half
      for head in 0..<heads {
        for i in 0..<half {
          let at = t * width + head * headSize + i
          let first = x[at]
          let second = x[at + half]
          let sine = Scalar(direction) * sines[angle + i]
          out[at] = first * cosines[angle + i] - second * sine
          out[at + half] = second * cosines[angle + i] + first * sine
        }
      }
      for column in heads * headSize..<width { out[t * width + column] = x[t * width + column] }
    }
  }
}
