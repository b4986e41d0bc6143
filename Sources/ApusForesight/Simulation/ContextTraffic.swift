import ApusCore

/// Collectives of one layer and micro-batch along the context axis: keys and values of the whole sequence are
/// gathered, their gradients scattered (domain reference B4). Those along the tensor axis are recorded.
struct ContextTraffic {
  var forward: [CollectiveCall] = []
  var backward: [CollectiveCall] = []

  init(_ job: TrainingJob) {
    guard job.layout.context > 1 else { return }
    let keys = 2 * Double(job.localTokens) * Double(job.model.heads.keyWidth) / Double(job.layout.tensor)
    let whole = keys * Double(job.layout.context) * job.numbers.activationBytes
    forward = [CollectiveCall(.allGather, .context, bytes: whole)]
    backward = [
      CollectiveCall(.allGather, .context, bytes: whole),
      CollectiveCall(.reduceScatter, .context, bytes: whole),
    ]
  }
}
