import ApusCore
import ApusProgram
import CApusKernels
import Foundation

extension Binder {
  func bindZero(_ call: Instruction) -> Kernel {
    let (out, byteCount) = (address(call.outputs[0].tensor), call.outputs[0].tensor.byteCount)
    return { _ in memset(out, 0, byteCount) }
  }

  func bindSumOfSquares(_ op: SumOfSquares, _ call: Instruction) -> Kernel {
    let out = doubles(call.outputs[0].tensor)
    var terms: [(sum: () -> Double, copies: Double)] = []
    for (input, stretches) in zip(call.inputs, op.stretches) {
      for counted in stretches {
        let own = counted.stretch.range(at: ranks.position)
        if own.isEmpty { continue }
        let part = input.columns(from: own.lowerBound, own.count)
        terms.append((elements(part).bindSquares(self, part), Double(counted.copies)))
      }
    }
    let bound = terms
    return { _ in
      var sum = 0.0
      for term in bound { sum += term.sum() / term.copies }
      out.pointee = sum
    }
  }

  func bindClip(_ clip: Clip, _ call: Instruction) -> Kernel {
    let (sum, norm, coefficient) = (
      doubles(call.inputs[0]), floats(call.outputs[0]), floats(call.outputs[1])
    )
    let scale = clip.isScaled ? floats(call.inputs[1]) + Control.lossScale.rawValue : nil
    return { _ in
      let scale = scale.map { Double($0.pointee) } ?? 1
      let value = sum.pointee.squareRoot() / scale
      norm.pointee = Float(value)
      let clipping = clip.maximumNorm > 0 ? min(1, clip.maximumNorm / (value + 1e-6)) : 1
      coefficient.pointee = Float(clipping / scale)
    }
  }

  func bindAdamW(_ adamW: AdamW, _ call: Instruction) -> Kernel {
    let (p, m, v) = (floats(call.outputs[0]), floats(call.outputs[1]), floats(call.outputs[2]))
    let gradient = call.inputs[0]
    let (coefficient, control) = (floats(call.inputs[1]), floats(call.inputs[2]))
    let ranges = adamW.ranges.map { (own: $0.stretch.range(at: ranks.position), decays: $0.decays) }
      .filter { !$0.own.isEmpty }
    let weights = call.outputs.count > 3 ? call.outputs[3].tensor : nil
    let (rounded, type) = (weights.map(address), weights?.type ?? .float32)
    let (g, gradientType) = (address(gradient), gradient.type)
    return { _ in
      for range in ranges {
        let (offset, decay) = (range.own.lowerBound, range.decays ? Float(adamW.weightDecay) : 0)
        apus_adamw(
          rounded.map { $0 + offset * type.byteCount }, type.kernelType, p + offset, m + offset, v + offset,
          g + offset * gradientType.byteCount, gradientType.kernelType, Int64(range.own.count),
          control[Control.learningRate.rawValue], Float(adamW.beta1), Float(adamW.beta2),
          Float(adamW.epsilon), decay, control[Control.correction1.rawValue],
          control[Control.correction2.rawValue], coefficient.pointee)
      }
    }
  }
}

extension ElementKernels {
  fileprivate static func bindSquares(_ binder: Binder, _ x: Tensor) -> () -> Double {
    let (values, count) = (at(binder, x), Int64(x.count))
    return { sumOfSquares(values, count) }
  }
}

extension ElementType {
  /// The kernels' name of a floating-point type of 32 or 16 bits.
  var kernelType: apus_element {
    switch self {
    case .float32: return APUS_F32
    case .bfloat16: return APUS_BF16
    case .float16: return APUS_F16
    case .float64, .int32, .uint8:
      require(false, "the kernels know no elements of \(self)")
      return APUS_F32
    }
  }
}
