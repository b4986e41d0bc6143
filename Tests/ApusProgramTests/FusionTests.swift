import ApusCore
import ApusModels
import ApusProgram
import Testing

@Suite struct FusionTests {
  private func names(_ program: StepProgram, _ kind: Segment.Kind) throws -> [String] {
    try #require(program.segment(kind)).instructions.map(\.op.name)
  }

  @Test func gpt2Forward() throws {
    let names = try names(Samples.program(Samples.gpt2), .forward)
    let branch = ["linear", "bias and gelu", "linear", "add and layer norm"]
    let layer = ["linear", "attention", "linear", "add and layer norm"] + branch
    #expect(names == ["embedding", "positions", "layer norm"] + layer + layer)
  }

  @Test func llamaForward() throws {
    let names = try names(Samples.program(Samples.llama), .forward)
    let layer = [
      "linear", "rotary", "attention", "linear", "add and rms norm", "linear", "swiglu", "linear",
      "add and rms norm",
    ]
    #expect(names == ["embedding", "rms norm"] + layer + layer)
  }

  /// The bias leaves the product and comes back in GELU and in its gradient, which sums the bias's own.
  @Test(arguments: [RecomputationSettings.none, .uniform(.selective), .uniform(.full)])
  func biasMovesIntoGELU(_ recomputation: RecomputationSettings) throws {
    let program = Samples.program(Samples.gpt2, recomputation: recomputation)
    let instructions = program.segments.flatMap(\.instructions)
    #expect(!instructions.contains { ["gelu", "gelu gradient"].contains($0.op.name) })
    var products: [Int: Int] = [:]
    for instruction in instructions {
      if case .linear = instruction.op {
        products[instruction.outputs[0].tensor.storage] = instruction.inputs.count
      }
    }
    let fused = instructions.filter { ["bias and gelu", "bias and gelu gradient"].contains($0.op.name) }
    #expect(fused.count >= 3 * Samples.gpt2.layerCount)
    for instruction in fused {
      let isGradient = instruction.outputs.count == 2
      let (x, bias) = (instruction.inputs[isGradient ? 1 : 0], instruction.inputs[isGradient ? 2 : 1])
      #expect(products[x.storage] == 2)
      let parameter = try #require(program.parameters.first { $0.tensor == bias })
      #expect(parameter.name.hasSuffix("mlp.c_fc.bias"))
      if isGradient {
        let unit = try #require(program.units.first { $0.weights.storage == bias.storage })
        #expect(instruction.outputs[1].tensor == unit.gradient(of: bias))
        #expect(instruction.outputs[1].mode == .accumulateAfterFirstMicrobatch)
      }
    }
  }

  /// What is read by more than GELU keeps its bias.
  @Test func aProductWithAnotherReaderIsLeft() throws {
    var step = StepRecorder()
    var units: [ParameterUnit] = []
    let (weight, bias) = step.unit("dense", training: true, into: &units) {
      ($0.declare("weight", 4, 4, .zeros), $0.vector("bias", 4, .zeros))
    }
    let x = step.tensor("x", .input, Signature(3, 4))
    let hidden = step.linear(x, weight, bias: bias, layout: .inputMajor)
    _ = step.add(hidden, step.gelu(hidden))
    let groups = [[Segment(.forward, step.takeInstructions())]]
    #expect(Fusion.apply(groups, storages: step.storages) == groups)
  }

  /// Fusing keeps FLOPs and storages, moves fewer bytes, and says how many without it.
  @Test(arguments: ["gpt2-124m", "llama-110m"], [PrecisionPolicy.fp32, .bf16SummingInFloat32])
  func bytesSaved(name: String, _ precision: PrecisionPolicy) throws {
    let shape = try #require(ModelPresets.named(name))
    func program(_ isFused: Bool) -> StepProgram {
      Samples.program(
        shape, microBatch: 4, sequence: 256, evaluates: false, precision: precision, isFused: isFused)
    }
    let (apart, fused) = (program(false), program(true))
    #expect(apart.storages == fused.storages)
    for (a, f) in zip(apart.segments, fused.segments) {
      #expect(a.cost.flops == f.cost.flops)
      #expect(f.unfusedCost == a.cost && a.unfusedCost == a.cost)
    }
    // One pass over [T, D] for each norm behind an addition: two a layer. GPT-2's GELU gradient saves one over
    // [T, 4 D] a layer.
    let (tokens, size, layers) = (1024, precision.compute.byteCount, shape.layerCount)
    let norms = 2 * layers * tokens * shape.hiddenSize * size
    // Its gradient reads the bias.
    let sums = shape.family == .gpt2 ? layers * (tokens - 1) * shape.intermediateSize * size : 0
    let saved =
      apart.segments.reduce(0) { $0 + $1.cost.bytes } - fused.segments.reduce(0) { $0 + $1.cost.bytes }
    #expect(saved == norms + sums)
  }
}
