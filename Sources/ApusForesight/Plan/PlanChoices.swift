extension PlanRequest {
  /// The choices that are tried: every one whose numbers divide.
  ///
  /// Degrees are powers of two, of the pipeline also the divisors of the layers. Tensor parallelism stays inside a
  /// node. Not tried because another choice is never worse: `naive` and `afab` (the bubble of 1F1B with more time or
  /// memory), selective recomputation where attention keeps no scores, and ZeRO-2 and 3 over a pipeline, which send a
  /// stage's gradients or weights once a micro-batch.
  package var choices: [Choice] {
    var all: [Choice] = []
    for tensor in powers(upTo: hardware.devicesPerNode) where model.headCount.isMultiple(of: tensor) {
      if runsHere, !model.intermediateSize.isMultiple(of: tensor) || !sequenceLength.isMultiple(of: tensor) {
        continue
      }
      for context in powers(upTo: max(1, sequenceLength / 2048)) where sequenceLength.isMultiple(of: context)
      {
        for pipeline in pipelineDegrees {
          let others = tensor * context * pipeline
          if runsHere, context * pipeline > 1 { continue }
          guard devices.isMultiple(of: others), samples.isMultiple(of: devices / others) else { continue }
          all += choices(data: devices / others, tensor, context, pipeline)
        }
      }
    }
    return all
  }

  /// Whether the machine is one that was measured: then only what training can run is tried.
  private var runsHere: Bool { hardware.measured != nil }

  private var pipelineDegrees: [Int] {
    let most = min(model.layerCount, devices, 128)
    let divisors = (1...most).filter { model.layerCount.isMultiple(of: $0) }
    return Set(powers(upTo: most) + divisors).sorted()
  }

  private func powers(upTo limit: Int) -> [Int] {
    sequence(first: 1) { $0 * 2 <= limit ? $0 * 2 : nil }.map { $0 }
  }

  private func choices(data: Int, _ tensor: Int, _ context: Int, _ pipeline: Int) -> [Choice] {
    let share = samples / data
    let stages = data * context == 1 ? [0] : pipeline > 1 ? [0, 1] : [0, 1, 2, 3]
    let recomputations: [JobRecomputation] =
      attention == .unfused ? [.none, .attention, .full] : [.none, .full]
    var all: [Choice] = []
    let experts = expertDegrees(replicas: data * context)
    for microBatch in powers(upTo: min(64, share)) where share.isMultiple(of: microBatch) {
      for schedule in schedules(pipeline, microbatches: share / microBatch) {
        for stage in stages {
          for shards in shardDegrees(data, tensor, zeroStage: stage) {
            for recomputation in recomputations {
              for expert in experts {
                all.append(
                  Choice(
                    data: data, tensor: tensor, context: context, pipeline: pipeline, schedule: schedule,
                    zeroStage: stage, shardDegree: shards, recomputation: recomputation,
                    microBatch: microBatch, expert: expert))
              }
            }
          }
        }
      }
    }
    return all
  }

  /// Powers of two that divide both the experts and the ranks that take different samples.
  private func expertDegrees(replicas: Int) -> [Int] {
    guard let experts else { return [1] }
    return powers(upTo: experts.count).filter {
      experts.count.isMultiple(of: $0) && replicas.isMultiple(of: $0)
    }
  }

  private func schedules(_ pipeline: Int, microbatches: Int) -> [PipelineSchedule] {
    guard pipeline > 1 else { return [.oneForwardOneBackward] }
    var schedules: [PipelineSchedule] = [.oneForwardOneBackward, .zeroBubbleH1, .zeroBubbleH2, .dualPipe]
    for chunks in [2, 4] where pipeline * chunks <= model.layerCount && microbatches.isMultiple(of: pipeline)
    {
      schedules.append(.interleaved(chunks: chunks, group: nil))
    }
    return schedules.filter { (try? $0.check(devices: pipeline, microbatches: microbatches)) != nil }
  }

  /// All ranks, and for ZeRO-3 over many the ranks of as many nodes as hold 64 devices (hybrid shards).
  private func shardDegrees(_ data: Int, _ tensor: Int, zeroStage: Int) -> [Int] {
    let few = max(1, 64 / tensor)
    return zeroStage == 3 && data > few && data.isMultiple(of: few) ? [data, few] : [data]
  }
}
