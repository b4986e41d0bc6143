import ApusCore
import ApusModels

/// One run of a sweep: what was run, what was foreseen, what was measured, how it ended. A line of the sweep's
/// ledger.
package struct SweepRecord: Codable, Hashable, Sendable {
  package enum Status: String, Codable, Hashable, Sendable, CaseIterable {
    case ok
    case outOfMemory = "out of memory"
    case crashed
    case timedOut = "timed out"
  }

  package enum Kind: String, Codable, Hashable, Sendable { case simulated, measured }

  /// What a run reached, measured or foreseen.
  package struct Result: Codable, Hashable, Sendable {
    package var stepSeconds: Double
    package var tokensPerSecondPerDevice: Double
    /// Share of the peak, attention in full.
    package var utilization: Double
    /// Of a real run the arena of one rank: planned, or touched.
    package var peakBytes: Double
    /// Bytes that a rank of a real run sends in a step, by axis.
    package var sentBytes: [String: Double]?

    package init(
      stepSeconds: Double, tokensPerSecondPerDevice: Double, utilization: Double, peakBytes: Double,
      sentBytes: [String: Double]? = nil
    ) {
      self.stepSeconds = stepSeconds
      self.tokensPerSecondPerDevice = tokensPerSecondPerDevice
      self.utilization = utilization
      self.peakBytes = peakBytes
      self.sentBytes = sentBytes
    }
  }

  /// Of `fields`; the same setting is the same run.
  package var hash: String
  package var kind: Kind
  /// By column: what defines the run.
  package var fields: [String: String]
  package var predictedStatus: Status?
  package var predicted: Result?
  package var status: Status?
  package var measured: Result?
  /// Step time that the description gives at the speed that the machine had between the steps of a real run, seconds.
  package var foreseenAtSpeed: Double?
  /// Why it failed, one line.
  package var reason: String
  /// Memory of a real run's whole process at its peak, bytes.
  package var residentBytes: Int?
  /// Wall time of the run.
  package var seconds: Double?

  package init(_ kind: Kind, fields: [String: String]) {
    hash = Self.hash(kind, fields)
    self.kind = kind
    self.fields = fields
    reason = ""
  }

  /// FNV-1a of the kind and the fields in the order of their names (Fowler, Noll, Vo), 64 bits as hexadecimal digits.
  package static func hash(_ kind: Kind, _ fields: [String: String]) -> String {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    func mix(_ text: String) {
      for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
      state = (state ^ 0x1F) &* 0x100_0000_01B3
    }
    mix(kind.rawValue)
    for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
      mix(name)
      mix(value)
    }
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// A job and the name of its model.
  package struct Setting: Sendable {
    package var modelName: String
    package var job: TrainingJob

    package init(modelName: String, job: TrainingJob) {
      self.modelName = modelName
      self.job = job
    }

    /// As columns of a published table.
    package var fields: [String: String] {
      let (model, layout) = (job.model, job.layout)
      let schedule: String
      var chunks = ""
      switch layout.schedule {
      case .interleaved(let count, _): (schedule, chunks) = ("interleaved", "\(count)")
      default: schedule = layout.schedule.name
      }
      let recomputation: String =
        switch job.recomputation {
        case .attention: "selective"
        default: job.recomputation.rawValue
        }
      return [
        "gpu": job.hardware.name, "gpus": "\(layout.worldSize)",
        "gpus_per_node": "\(job.hardware.devicesPerNode)", "interconnect": job.hardware.network.name,
        "model_name": modelName,
        "params_b": (Double(ParameterCount(model).total) / 1e9).formatted(decimals: 4),
        "hidden": "\(model.hiddenSize)", "layers": "\(model.layerCount)", "heads": "\(model.headCount)",
        "kv_heads": "\(model.keyValueHeadCount)", "ffn_hidden": "\(model.intermediateSize)",
        "mlp": model.family == .llama ? "swiglu" : "gelu", "vocab": "\(model.vocabularySize)",
        "tied_embed": model.tiedEmbeddings ? "1" : "0", "seq_len": "\(job.sequenceLength)",
        "global_batch_seqs": "\(layout.microBatchSize * layout.microbatches * layout.data)",
        "micro_batch": "\(layout.microBatchSize)", "grad_accum": "\(layout.microbatches)",
        "dp": "\(layout.data)", "zero_stage": "\(layout.zeroStage)", "tp": "\(layout.tensor)",
        "sp": layout.sequenceParallel ? "1" : "0", "pp": "\(layout.pipeline)",
        "pp_schedule": layout.pipeline > 1 ? schedule : "", "vpp": chunks, "cp": "\(layout.context)",
        "ep": "\(layout.expert)", "recompute": recomputation,
        "precision": job.numbers.compute.rawValue
          + (job.numbers.compute == .bf16 && job.numbers.gradientBytes > 2 ? ", fp32 grad accumulation" : ""),
        "flash_attention": job.attention == .unfused ? "0" : "1", "stack": job.stack.name.rawValue,
      ]
    }
  }
}
