import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// 16-bit programs on the CPU backend, against the interpreter in double precision and against themselves.
@Suite(.serialized) struct PrecisionExecutorTests {
  static let policies = PrecisionTests.policies
  static let tokenWeight = 1.0 / 22

  /// Kernels compute in float32 and round as the interpreter does, so a number differs only where float32 falls
  /// on the other side of a middle between two neighbours, by one unit in the last place: 2^-8 of the number in
  /// bfloat16, 2^-11 in float16. Attention rounds its probabilities too.
  @Test(arguments: SmallModels.all, policies)
  func stepEqualsTheInterpreter(_ model: ModelConfiguration, _ policy: PrecisionPolicy) throws {
    let program = SmallModels.program(model, precision: policy)
    let expected = Interpreter<Double>(program)
    expected.prepare(tokenWeight: Self.tokenWeight)
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    let loss = try expected.step(vocabulary: model.vocabularySize)
    try executor.step(vocabulary: model.vocabularySize)
    let isShort = policy.compute == .bfloat16
    #expect(abs(Double(executor.floats(program.loss!)[0]) - loss) < (isShort ? 1e-3 : 1e-4) * loss)
    for kind in [Segment.Kind.synchronise, .optimizer] {
      try expected.run(kind)
      try executor.run(kind)
    }
    let norm = expected.scalars(program.gradientNorm!).pointee
    #expect(
      abs(Double(executor.floats(program.gradientNorm!)[0]) - norm) < (isShort ? 5e-3 : 5e-4) * norm)
    var (difference, total) = (0.0, 0.0)
    for unit in program.units {
      for parameter in unit.parameters {
        let gradient = unit.gradient(of: parameter.tensor)
        let (a, b) = (executor.values(gradient), expected.scalars(gradient))
        for index in 0..<gradient.count {
          difference += (Double(a[index]) - b[index]) * (Double(a[index]) - b[index])
          total += b[index] * b[index]
        }
        // The weights that forward reads next are the rounded masters.
        let master = executor.floats(unit.view(of: parameter.tensor, in: unit.master!))
        #expect(executor.values(parameter.tensor) == master.map(policy.compute.rounded), "\(parameter.name)")
      }
    }
    #expect((difference / total).squareRoot() < (isShort ? 1e-2 : 1e-3))
  }

  @Test(arguments: SmallModels.all, policies)
  func nothingWritesOutsideItsSlot(_ model: ModelConfiguration, _ policy: PrecisionPolicy) throws {
    let program = SmallModels.program(model, evaluates: true, precision: policy)
    let executor = try Executor(program, threads: 2)
    executor.poison()
    executor.prepare(tokenWeight: Self.tokenWeight)
    for step in 0..<2 {
      executor.load(vocabulary: model.vocabularySize, microbatch: step)
      for kind in [Segment.Kind.forward, .backward, .synchronise, .optimizer, .evaluation] {
        try executor.runAudited(kind, microbatch: step)
      }
    }
    #expect(executor.arenaHighWater <= executor.plan.totalBytes)
    #expect(executor.arenaHighWater > executor.plan.totalBytes - MemoryPlan.alignment)
    #expect(executor.floats(program.loss!)[0].isFinite)
  }

  /// Initial weights are the same numbers in every policy, rounded once.
  @Test func initialWeightsAreTheSameNumbers() throws {
    let model = SmallModels.llama
    let whole = try Executor(SmallModels.program(model), threads: 2)
    let short = try Executor(SmallModels.program(model, precision: .bf16), threads: 2)
    for executor in [whole, short] {
      executor.poison()
      executor.initializeParameters(seed: 5)
    }
    for (a, b) in zip(whole.program.units, short.program.units) {
      #expect(Array(whole.floats(a.weights)) == Array(short.floats(b.master!)))
      #expect(short.values(b.weights) == whole.floats(a.weights).map(ElementType.bfloat16.rounded))
      for buffer in [b.gradients!, b.firstMoment!, b.secondMoment!] {
        #expect(short.values(buffer).allSatisfy { $0 == 0 })
      }
    }
  }

  /// Fusing an addition and a norm changes no bit; moving a bias into GELU adds it to the rounded product.
  @Test(arguments: SmallModels.all, [PrecisionPolicy.fp32, .bf16SummingInFloat32])
  func fusionKeepsTheResult(_ model: ModelConfiguration, _ policy: PrecisionPolicy) throws {
    var gradients: [[Float]] = []
    for isFused in [true, false] {
      var settings = TrainingProgramSettings(microBatchSize: 2, sequenceLength: 7, precision: policy)
      settings.isFused = isFused
      let program = StepProgram.training(model, settings)
      let executor = try Executor(program, threads: 2)
      executor.poison()
      executor.prepare(tokenWeight: Self.tokenWeight)
      try executor.step(vocabulary: model.vocabularySize)
      gradients.append(
        program.units.flatMap { unit in
          unit.parameters.flatMap { executor.values(unit.gradient(of: $0.tensor)) }
        })
    }
    if model.family == .llama {
      #expect(gradients[0] == gradients[1])
    } else {
      let difference = zip(gradients[0], gradients[1]).reduce(0.0) { $0 + Double(pow2($1.0 - $1.1)) }
      let norm = gradients[1].reduce(0.0) { $0 + Double(pow2($1)) }
      #expect((difference / norm).squareRoot() < (policy == .fp32 ? 1e-6 : 1e-2))
    }
  }

  private func pow2(_ x: Float) -> Float { x * x }
}
