import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Every gradient rule against central differences in double precision, through whole models: tied and
/// untied heads, grouped queries, absent targets, two micro-batches.
@Suite struct FiniteDifferenceTests {
  @Test(arguments: SmallModels.all + [SmallModels.mixture])
  func gradientsEqualDifferences(_ model: ModelConfiguration) throws {
    let program = SmallModels.program(model)
    let interpreter = Interpreter<Double>(program)
    let weight = 1.0 / 22
    interpreter.prepare(tokenWeight: weight)
    _ = try interpreter.step(vocabulary: model.vocabularySize)
    let gradients = program.units.map { unit in
      unit.parameters.map { parameter in
        let pointer = interpreter.scalars(unit.gradient(of: parameter.tensor))
        return (0..<parameter.tensor.count).map { pointer[$0] }
      }
    }
    for (unit, unitGradients) in zip(program.units, gradients) {
      for (parameter, gradient) in zip(unit.parameters, unitGradients) {
        let values = interpreter.scalars(parameter.tensor)
        let h = 1e-5
        // Along one random direction that touches every element, and two single elements.
        let direction = (0..<gradient.count).map { SmallModels.noise($0 + 77) }
        let single = [gradient.count / 3, gradient.count - 1].map { at in
          (0..<gradient.count).map { $0 == at ? 1.0 : 0 }
        }
        for line in [direction] + single {
          func loss(_ distance: Double) throws -> Double {
            for index in line.indices { values[index] += distance * line[index] }
            defer { for index in line.indices { values[index] -= distance * line[index] } }
            return try interpreter.step(vocabulary: model.vocabularySize)
          }
          let difference = try (loss(h) - loss(-h)) / (2 * h)
          let expected = zip(gradient, line).reduce(0) { $0 + $1.0 * $1.1 }
          #expect(
            abs(difference - expected) <= 1e-7 + 1e-6 * abs(expected),
            "\(model.family) \(parameter.name): \(expected), by differences \(difference)")
        }
      }
    }
  }

  /// S17: k micro-batches give the gradient of one batch k times as large.
  @Test func accumulationEqualsOneLargeBatch() throws {
    let model = SmallModels.gpt2
    let split = Interpreter<Double>(SmallModels.program(model))
    split.prepare(tokenWeight: 1.0 / 22)
    let loss = try split.step(vocabulary: model.vocabularySize)
    let whole = Interpreter<Double>(
      .training(model, TrainingProgramSettings(microBatchSize: 4, sequenceLength: 7)))
    whole.prepare(tokenWeight: 1.0 / 22)
    let parts = (0..<2).map {
      SmallModels.tokens(split.program, vocabulary: model.vocabularySize, microbatch: $0)
    }
    whole.ints(whole.program.tokens).update(from: parts.flatMap(\.ids), count: 28)
    whole.ints(whole.program.targets!).update(from: parts.flatMap(\.targets), count: 28)
    try whole.run(.forward)
    try whole.run(.backward)
    #expect(abs(whole.scalars(whole.program.loss!).pointee - loss) < 1e-12)
    for (a, b) in zip(split.program.units, whole.program.units) {
      for (p, q) in zip(a.parameters, b.parameters) {
        let (x, y) = (split.scalars(a.gradient(of: p.tensor)), whole.scalars(b.gradient(of: q.tensor)))
        for index in 0..<p.tensor.count { #expect(abs(x[index] - y[index]) < 1e-12) }
      }
    }
  }
}
