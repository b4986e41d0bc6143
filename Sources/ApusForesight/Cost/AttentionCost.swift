import ApusProgram

/// Seconds of causal attention over `pairs` visible (query, key) pairs of one head size.
struct AttentionCost: Sendable {
  let hardware: HardwareDescription
  let constants: CostConstants
  let kernel: AttentionKernel
  let numbers: JobNumbers

  /// - Parameters:
  ///   - heads: on this rank.
  ///   - rows: queries on this rank.
  ///   - keys: of a whole sequence.
  ///   - backward: whether the gradient is meant.
  func price(heads: HeadShape, rows: Int, keys: Int, backward: Bool) -> Price {
    var price = Price()
    let scores = Double(heads.headCount) * Double(rows) * Double(keys)
    let size = Double(heads.headSize)
    let precision: HardwareDescription.Precision = numbers.compute == .fp8 ? .bf16 : numbers.product
    let peak = hardware.peak(precision)
    if kernel == .unfused {
      // The masked half is computed too; backward is four products.
      price.flops = (backward ? 8 : 4) * size * scores
      price.product = price.flops / (peak * hardware.sustained * constants.batchedProduct * headFactor(size))
      let bytes = backward ? constants.scoreBytesBackward : constants.scoreBytesForward
      price.memory = bytes * scores / (hardware.memoryBandwidth * constants.memoryEfficiency)
      price.launches = backward ? 8 : 5
    } else {
      price.flops = (backward ? 10 : 4) * size * scores / 2
      let speed = share * (backward ? constants.flashBackward : 1) * headFactor(size)
      price.attention = price.flops / (peak * speed)
      price.launches = backward ? 3 : 1
    }
    return price
  }

  /// Small heads leave matrix units idle.
  private func headFactor(_ size: Double) -> Double { min(1, power(size / 128, constants.headExponent)) }

  /// Share of the peak that the kernel's forward pass reaches.
  private var share: Double {
    switch (kernel, hardware.architecture) {
    case (.unfused, _): 1
    case (.flash1, .hopper), (.flash1, .blackwell): constants.flash1Hopper
    case (.flash1, _): constants.flash1Ampere
    case (.flash2, .hopper), (.flash2, .blackwell): constants.flash2Hopper
    case (.flash3, .hopper), (.flash3, .blackwell): constants.flash3Hopper
    case (.flash2, _), (.flash3, _): constants.flash2Ampere
    }
  }
}
