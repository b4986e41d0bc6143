import ApusCore

/// Where a job's groups of ranks lie and what their collectives take.
struct Cluster {
  let job: TrainingJob
  let collectives: CollectiveCost

  init(_ job: TrainingJob, _ constants: CostConstants) {
    self.job = job
    collectives = CollectiveCost(hardware: job.hardware, constants: constants)
  }

  /// Nodes that the job fills.
  var nodes: Int { groups(of: job.hardware.devicesPerNode, in: job.layout.worldSize) }

  /// The group of an axis. Context ranks hold the same parameters, so the data axis is data and context.
  func placement(_ axis: CommunicationAxis) -> RankPlacement {
    let layout = job.layout
    let ranks =
      switch axis {
      case .tensor: layout.tensor
      case .context: layout.context
      case .expert: layout.expert
      case .pipeline: layout.pipeline
      case .data: layout.data * layout.context
      }
    var stride = job.stack.order.stride(of: axis == .data ? .context : axis, in: layout)
    if axis == .expert, layout.expertTensor < layout.tensor { stride = 1 }
    return RankPlacement(ranks: ranks, stride: stride, devicesPerNode: job.hardware.devicesPerNode)
  }

  func seconds(_ calls: [CollectiveCall], _ axis: CommunicationAxis) -> Double {
    let place = placement(axis)
    return calls.reduce(0) { sum, call in
      guard call.axis == axis else { return sum }
      return sum + Double(call.count) * collectives.seconds(call.kind, bytes: call.bytes, place)
    }
  }

  func dataSeconds(_ kind: CollectiveKind, _ bytes: Double) -> Double {
    collectives.seconds(kind, bytes: bytes, placement(.data))
  }

  /// The ranks that hold the same experts.
  private var expertReplicas: RankPlacement {
    let layout = job.layout
    let stride = job.stack.order.stride(of: .context, in: layout)
    let between = layout.expertTensor == layout.tensor ? stride * layout.expert : layout.expert
    return RankPlacement(
      ranks: layout.expertReplicas, stride: between, devicesPerNode: job.hardware.devicesPerNode)
  }

  /// Seconds of a collective over the replicas of `count` parameters, of which `experts` belong to experts and have
  /// fewer replicas.
  func replicaSeconds(_ kind: CollectiveKind, _ count: Double, experts: Double, width: Double) -> Double {
    dataSeconds(kind, (count - experts) * width)
      + collectives.seconds(kind, bytes: experts * width, expertReplicas)
  }

  /// Seconds of a message between the devices of neighbouring stages, one entry a boundary.
  ///
  /// - Parameter hidden: bytes of a layer's input, as it is recorded.
  func transfers(_ stages: [StageContent], hidden: Double) -> [Double] {
    let layout = job.layout
    let logits =
      Double(job.localTokens) * Double(job.model.vocabularySize) / Double(layout.tensor)
      * job.numbers.activationBytes
    let stride = job.stack.order.stride(of: .pipeline, in: layout)
    func node(_ stage: Int) -> Int { stage % layout.pipeline * stride / job.hardware.devicesPerNode }
    return (0..<max(0, stages.count - 1)).map { stage in
      let isLast = stage == stages.count - 2
      return collectives.sendSeconds(
        bytes: isLast && stages[stage + 1].receivesLogits ? logits : hidden,
        crossesNodes: node(stage) != node(stage + 1))
    }
  }
}
