import ApusCore
import ApusForesight
import ApusModels
import Testing

@Suite struct ExpertTests {
  /// Mixtral 8x7B (Jiang et al. 2024) on H100.
  static func job(
    _ layout: ParallelLayout = ParallelLayout(), experts: ExpertShape? = mixtral, microbatches: Int = 8,
    recomputation: JobRecomputation = .none
  ) throws -> TrainingJob {
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 32_000, maximumSequenceLength: 4096, layerCount: 32, hiddenSize: 4096,
      headCount: 32, keyValueHeadCount: 8, intermediateSize: 14_336, tiedEmbeddings: false)
    return TrainingJob(
      model: model, layout: JobLayout(layout, microBatchSize: 1, microbatches: microbatches),
      sequenceLength: 4096, recomputation: recomputation, stack: SoftwareStack(.megatron),
      hardware: try #require(try HardwareCatalogue.shipped().named("H100-80GB")), experts: experts)
  }

  static let mixtral = ExpertShape(count: 8, active: 2, intermediateSize: 14_336)

  private func forecast(_ job: TrainingJob) throws -> StepForecast { try StepSimulator().forecast(job) }

  /// 46.7B parameters, of which a token meets 12.9B.
  @Test func parametersAreThePublishedOnes() throws {
    let job = try Self.job()
    #expect(job.parameterCount == 46_702_792_704)
    #expect(abs(Double(job.modelFLOPs().countedParameters) / 12.88e9 - 1) < 1e-3)
    #expect(try Self.job(experts: nil).parameterCount == 7_241_732_096)
  }

  /// One expert that every token visits is a dense block with a router.
  @Test func oneExpertIsADenseBlock() throws {
    let dense = try forecast(Self.job(experts: nil))
    let one = try forecast(
      Self.job(experts: ExpertShape(count: 1, active: 1, intermediateSize: 14_336)))
    #expect(one.computeSeconds > dense.computeSeconds)
    #expect(one.computeSeconds < 1.15 * dense.computeSeconds)
  }

  /// Two active experts do the work of a block of twice the size, whatever the number of experts.
  @Test func workFollowsTheActiveExperts() throws {
    func seconds(_ count: Int, _ active: Int) throws -> Double {
      try forecast(Self.job(experts: ExpertShape(count: count, active: active, intermediateSize: 14_336)))
        .computeSeconds
    }
    let (one, two, four) = (try seconds(8, 1), try seconds(8, 2), try seconds(8, 4))
    #expect(abs((four - two) / (two - one) - 2) < 0.2)
    // Twice as many experts with half the rows each: the same products, more weights to read.
    #expect(try seconds(16, 2) < 1.25 * two)
    let shared = ExpertShape(count: 8, active: 1, intermediateSize: 14_336, sharedSize: 14_336)
    #expect(abs(try forecast(Self.job(experts: shared)).computeSeconds / two - 1) < 0.1)
  }

  /// Expert ranks divide the experts' states; what all ranks hold stays.
  @Test func expertRanksDivideTheExperts() throws {
    let dense = Double(try Self.job(experts: nil).parameterCount) - 32 * 3 * 4096 * 14_336 + 32 * 8 * 4096
    let experts = 8.0 * 32 * 3 * 4096 * 14_336
    for degree in [1, 2, 4, 8] {
      let memory = try forecast(Self.job(ParallelLayout(data: 8, expert: degree))).memory
      #expect(abs(memory.parameters / (2 * (dense + experts / Double(degree))) - 1) < 1e-9)
      // Over 8 replicas of the rest, and over 8 / degree of the experts: the same shard of each.
      let sharded = try forecast(Self.job(ParallelLayout(data: 8, expert: degree, zeroStage: 1))).memory
      #expect(abs(sharded.optimizer / (12 * (dense + experts) / 8) - 1) < 1e-9)
    }
  }

  /// Tokens travel to their experts, four times a layer; between nodes the ports are narrower.
  @Test func tokensAreExchanged() throws {
    func exposed(_ data: Int, _ expert: Int, _ recomputation: JobRecomputation = .none) throws -> Double {
      try forecast(
        Self.job(ParallelLayout(data: data, expert: expert, zeroStage: 1), recomputation: recomputation)
      ).exposed[.expert] ?? 0
    }
    #expect(try exposed(8, 1) == 0)
    #expect(try exposed(8, 4) > 0)
    #expect(try exposed(16, 16) > 0)
    #expect(abs(try exposed(8, 8, .full) / exposed(8, 8) - 1.5) < 1e-6)
    let cost = CollectiveCost(hardware: try Self.job().hardware, constants: CostConstants())
    func seconds(_ ranks: Int) -> Double {
      cost.seconds(.allToAll, bytes: 1e9, RankPlacement(ranks: ranks, stride: 1, devicesPerNode: 8))
    }
    #expect(seconds(8) > seconds(4) && seconds(16) > 2 * seconds(8))
    // Everything but a rank's own part leaves over its share of the ports.
    let port = 400e9 / 8 * CostConstants().networkEfficiency
    #expect(abs(seconds(1 << 16) / (1e9 / port) - 1) < 0.01)
  }

  @Test(arguments: [
    ("swiglu, 8 experts top-2", "", "1", 8, 2, 0),
    ("moe swiglu 128 routed experts, 8 active, 1 shared", "", "8", 128, 8, 1),
    ("swiglu", "46.7", "1", 8, 2, 0), ("swiglu MoE", "", "16", 16, 2, 0), ("swiglu", "7.24", "1", 1, 1, 0),
  ])
  func rowsNameTheirExperts(
    text: String, parameters: String, degree: String, count: Int, active: Int, shared: Int
  ) throws {
    let table = try CSVTable(
      CSVTable.line([
        "gpu", "gpus", "hidden", "layers", "heads", "kv_heads", "ffn_hidden", "mlp", "vocab", "seq_len",
        "global_batch_seqs", "micro_batch", "params_b", "ep",
      ])
        + CSVTable.line([
          "H100", "64", "4096", "32", "32", "8", "14336", text, "32000", "4096", "512", "1", parameters,
          degree,
        ]), name: "experts.csv")
    let row = PublishedRow(table, try #require(table.rows.first), try .shipped())
    let job = try #require(row.job, "\(row.problem ?? "")")
    #expect(job.experts?.count ?? 1 == count && job.experts?.active ?? 1 == active)
    #expect(job.experts?.sharedSize ?? 0 == shared * 14_336)
    let says = text.contains("expert")
    #expect(row.defaults.contains { $0.hasPrefix("experts=") } == (!says && count > 1))
  }

  /// A plan looks over the expert axis, and a model too large for any rank without it fits with it.
  @Test func plansShareOutExperts() throws {
    let job = try Self.job()
    let request = PlanRequest(
      model: job.model, hardware: job.hardware, devices: 16, sequenceLength: 4096, globalBatchTokens: 1 << 20,
      experts: Self.mixtral)
    let search = PlanSearch(request)
    #expect(search.entries.allSatisfy { 8.isMultiple(of: $0.choice.expert) })
    #expect(
      search.entries.allSatisfy { ($0.choice.data * $0.choice.context).isMultiple(of: $0.choice.expert) })
    let best = try #require(search.best)
    #expect(search.entries.contains { $0.choice.expert > 1 })
    #expect(best.choice.expert == 1 || request.yaml(best.choice).contains("expert: \(best.choice.expert)"))
    #expect(request.parameterCount == 46_702_792_704)
  }
}

@Suite struct ContextRingTests {
  private func exposed(context: Int, sequence: Int, perNode: Int = 8, slower: Double = 1) throws -> Double {
    var job = try StepSimulatorTests.job(ParallelLayout(context: context), stack: SoftwareStack(.megatron))
    job.sequenceLength = sequence
    job.hardware.devicesPerNode = perNode
    job.hardware.network.bandwidth /= slower
    job.hardware.curve = nil
    return try StepSimulator().forecast(job).exposed[.context] ?? 0
  }

  /// Attention grows with the square of the sequence, keys and values with its length: long parts hide the ring.
  @Test func longSequencesHideTheRing() throws {
    #expect(try exposed(context: 1, sequence: 4096) == 0)
    #expect(try exposed(context: 4, sequence: 65_536) == 0)
    #expect(try exposed(context: 8, sequence: 2048) > 0)
  }

  /// What is waited for is counted from bytes: slower links, longer waits, and more of them over more ranks.
  @Test func bytesSetTheWait() throws {
    let near = try exposed(context: 8, sequence: 8192)
    let far = try exposed(context: 8, sequence: 8192, perNode: 1, slower: 8)
    let slow = try exposed(context: 8, sequence: 8192, perNode: 1, slower: 80)
    #expect(far > near && slow > 5 * far)
    #expect(try exposed(context: 16, sequence: 8192, perNode: 1, slower: 8) > far / 2)
  }
}
