import ApusCore
import ApusModels
import ApusProgram
import ApusReference
import ApusRuntime
import Testing

/// What a program of a 16-bit policy means, by the interpreter.
@Suite struct PrecisionTests {
  static let policies: [PrecisionPolicy] = [.bf16, .bf16SummingInFloat32, .fp16]
  static let tokenWeight = 1.0 / 22

  /// Norm of the difference over the norm of the expected, over all gradients; the scale of the loss removed.
  private func gradientError(
    _ actual: Interpreter<Double>, _ expected: Interpreter<Double>, scale: Double
  ) -> Double {
    var (difference, norm) = (0.0, 0.0)
    for (a, b) in zip(actual.program.units, expected.program.units) {
      for (p, q) in zip(a.parameters, b.parameters) {
        let (x, y) = (actual.scalars(a.gradient(of: p.tensor)), expected.scalars(b.gradient(of: q.tensor)))
        for index in 0..<p.tensor.count {
          difference += (x[index] / scale - y[index]) * (x[index] / scale - y[index])
          norm += y[index] * y[index]
        }
      }
    }
    return (difference / norm).squareRoot()
  }

  /// Loss and gradients stay near those of float32: a rounding is 2^-9 of a number in bfloat16 and 2^-12 in
  /// float16, and a gradient passes through about twenty of them a layer.
  @Test(arguments: SmallModels.all, policies)
  func roundingChangesLittle(_ model: ModelConfiguration, _ policy: PrecisionPolicy) throws {
    let exact = Interpreter<Double>(SmallModels.program(model))
    let rounded = Interpreter<Double>(SmallModels.program(model, precision: policy))
    var losses: [Double] = []
    for interpreter in [exact, rounded] {
      interpreter.prepare(tokenWeight: Self.tokenWeight)
      losses.append(try interpreter.step(vocabulary: model.vocabularySize))
      for kind in [Segment.Kind.synchronise, .optimizer] { try interpreter.run(kind) }
    }
    let isShort = policy.compute == .bfloat16
    #expect(abs(losses[1] - losses[0]) < (isShort ? 5e-3 : 6e-4) * losses[0])
    #expect(losses[1] != losses[0])
    let error = gradientError(rounded, exact, scale: policy.scalesLoss ? SmallModels.lossScale : 1)
    #expect(error < (isShort ? 0.03 : 0.004) && error > 0)
    // The norm is that of the unscaled gradients.
    let norms = [exact, rounded].map { $0.scalars($0.program.gradientNorm!).pointee }
    #expect(abs(norms[1] - norms[0]) < (isShort ? 0.03 : 0.004) * norms[0])
  }

  /// Every number of a 16-bit tensor is one of the type, and the weights are the rounded masters.
  @Test(arguments: policies)
  func everyNumberIsOneOfItsType(_ policy: PrecisionPolicy) throws {
    let model = SmallModels.llama
    let program = SmallModels.program(model, precision: policy)
    let interpreter = Interpreter<Float>(program)
    interpreter.prepare(tokenWeight: Self.tokenWeight)
    _ = try interpreter.step(vocabulary: model.vocabularySize)
    for kind in [Segment.Kind.synchronise, .optimizer] { try interpreter.run(kind) }
    var checked = 0
    for instruction in program.segments.flatMap(\.instructions) {
      for tensor in instruction.outputs.map(\.tensor) where tensor.type.isHalf {
        let values = interpreter.scalars(tensor)
        for index in 0..<tensor.count where !values[index].isNaN {
          #expect(tensor.type.rounded(values[index]) == values[index])
          checked += 1
        }
      }
    }
    #expect(checked > 5000)
    for unit in program.units {
      for parameter in unit.parameters {
        let master = interpreter.scalars(unit.view(of: parameter.tensor, in: unit.master!))
        let weights = interpreter.scalars(parameter.tensor)
        for index in 0..<parameter.tensor.count {
          #expect(weights[index] == policy.compute.rounded(master[index]))
        }
      }
    }
  }

  /// B10: an update of 1e-4 is lost in a bfloat16 weight of 1 and kept in its master.
  @Test func smallUpdatesSurviveInTheMaster() throws {
    #expect(ElementType.bfloat16.rounded(Float(1) - 1e-4) == 1)
    let model = SmallModels.llama
    let program = SmallModels.program(model, precision: .bf16)
    let interpreter = Interpreter<Float>(program)
    interpreter.prepare(tokenWeight: Self.tokenWeight)
    interpreter.scalars(program.control)[Control.learningRate.rawValue] = 1e-4
    _ = try interpreter.step(vocabulary: model.vocabularySize)
    let unit = program.units[1]
    let norm = unit.parameters[0]
    let (master, weights) = (
      interpreter.scalars(unit.view(of: norm.tensor, in: unit.master!)), interpreter.scalars(norm.tensor)
    )
    let before = (master[0], weights[0])
    for kind in [Segment.Kind.synchronise, .optimizer] { try interpreter.run(kind) }
    #expect(master[0] != before.0 && abs(master[0] - before.0) < 1e-3)
    #expect(weights[0] == before.1)
  }

  /// B10: gradients that float16 cannot hold survive where the loss is scaled.
  @Test func gradientsUnderflowWithoutAScale() throws {
    let model = SmallModels.gpt2
    let exact = Interpreter<Double>(SmallModels.program(model))
    let scaled = Interpreter<Double>(SmallModels.program(model, precision: .fp16))
    // As many tokens as a large batch has.
    let weight = 1e-8
    var errors: [Double] = []
    for scale in [1, 0x1p24] {
      for interpreter in [exact, scaled] {
        interpreter.prepare(tokenWeight: weight)
        interpreter.scalars(interpreter.program.control)[Control.lossScale.rawValue] = scale
        _ = try interpreter.step(vocabulary: model.vocabularySize)
      }
      errors.append(gradientError(scaled, exact, scale: scale))
    }
    #expect(errors[0] > 0.3, "most of the gradient is lost")
    #expect(errors[1] < 0.005)
  }

  /// A gradient beyond float16's range gives a norm that is not finite: what the gate looks at.
  @Test func aScaleThatIsTooLargeShows() throws {
    let model = SmallModels.gpt2
    let interpreter = Interpreter<Float>(SmallModels.program(model, precision: .fp16))
    interpreter.prepare(tokenWeight: 1)
    interpreter.scalars(interpreter.program.control)[Control.lossScale.rawValue] = 0x1p24
    _ = try interpreter.step(vocabulary: model.vocabularySize)
    try interpreter.run(.synchronise)
    #expect(!interpreter.scalars(interpreter.program.gradientNorm!).pointee.isFinite)
  }
}
