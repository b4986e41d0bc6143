/// Collectives of one layer and micro-batch along the tensor and context axes (domain reference B3, B4).
struct LayerTraffic {
  var forward: [CollectiveCall] = []
  var backward: [CollectiveCall] = []

  init(_ job: TrainingJob) {
    let rows = Double(job.localTokens)
    let hidden = rows * Double(job.model.hiddenSize) * job.numbers.activationBytes
    if job.layout.tensor > 1 {
      if job.layout.sequenceParallel {
        forward += [
          CollectiveCall(.allGather, .tensor, bytes: hidden, count: 2),
          CollectiveCall(.reduceScatter, .tensor, bytes: hidden, count: 2),
        ]
        // The gathered inputs are not kept: backward gathers them again.
        backward += [
          CollectiveCall(.allGather, .tensor, bytes: hidden, count: 4),
          CollectiveCall(.reduceScatter, .tensor, bytes: hidden, count: 2),
        ]
      } else {
        forward.append(CollectiveCall(.allReduce, .tensor, bytes: hidden, count: 2))
        backward.append(CollectiveCall(.allReduce, .tensor, bytes: hidden, count: 2))
      }
    }
    if job.layout.context > 1 {
      let keys = 2 * rows * Double(job.model.heads.keyWidth) / Double(job.layout.tensor)
      let whole = keys * Double(job.layout.context) * job.numbers.activationBytes
      forward.append(CollectiveCall(.allGather, .context, bytes: whole))
      backward.append(CollectiveCall(.allGather, .context, bytes: whole))
      backward.append(CollectiveCall(.reduceScatter, .context, bytes: whole))
    }
  }
}
