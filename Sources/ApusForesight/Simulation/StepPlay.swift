/// One step, played: the stages' work, the schedule over them, the end of the step on each device.
package struct StepPlay: Sendable {
  package let job: TrainingJob
  package let stages: [StageContent]
  /// Forward and backward of each stage for one micro-batch.
  package let seconds: [(forward: StageSeconds, backward: StageSeconds)]
  /// Messages between neighbouring stages, the part that a device waits for.
  package let transfers: [Double]
  private let end: StepEnd

  package init(_ job: TrainingJob, _ prices: LayerPrices, _ constants: CostConstants) {
    self.job = job
    let work = StageWork(job, prices, constants)
    stages = StagePlan.stages(job)
    seconds = work.seconds(stages)
    transfers = work.cluster.transfers(stages, hidden: prices.input).map {
      constants.pipelineExposure * $0
    }
    end = StepEnd(work: work)
  }

  package var times: PipelineTimes {
    PipelineTimes(
      stages: seconds.map { pair in
        // The half for weights may not be longer than all that backward does.
        let weights = min(pair.backward.weights, pair.backward.total)
        return PipelineTimes.Stage(
          forward: pair.forward.total, backwardInput: pair.backward.total - weights, backwardWeight: weights)
      }, transfers: transfers)
  }

  /// The stages that a device holds.
  package func stages(of device: Int) -> [Int] {
    let schedule = job.layout.schedule
    guard job.layout.pipeline > 1 else { return [0] }
    if schedule.isBidirectional { return [device, job.layout.pipeline - 1 - device] }
    return (0..<schedule.chunks).map { $0 * job.layout.pipeline + device }
  }

  /// When each device ends its last backward pass. With many micro-batches the schedule is periodic: two
  /// shorter plays say how long one more group of micro-batches takes.
  package func ends() throws(ForesightError) -> [Double] {
    let (devices, m) = (job.layout.pipeline, job.layout.microbatches)
    if devices == 1 {
      return [Double(m) * (seconds[0].forward.total + seconds[0].backward.total)]
    }
    if job.layout.schedule == .naive {
      let one = seconds.reduce(0) { $0 + $1.forward.total + $1.backward.total }
      let total = Double(m) * (one + 2 * transfers.reduce(0, +))
      return Array(repeating: total, count: devices)
    }
    // Whole groups of devices keep the interleaved order's rounds complete.
    let short = 2 * devices + m % devices
    let long = short + devices
    if m <= long + devices { return try ends(microbatches: m) }
    let (a, b) = (try ends(microbatches: short), try ends(microbatches: long))
    return zip(a, b).map { $1 + ($1 - $0) * Double(m - long) / Double(long - short) }
  }

  private func ends(microbatches: Int) throws(ForesightError) -> [Double] {
    let timetable = try timetable(microbatches: microbatches)
    return timetable.entries.map { $0.last?.end ?? 0 }
  }

  /// The schedule with its times, for charts and traces.
  package func timetable(microbatches: Int? = nil) throws(ForesightError) -> Timetable {
    let orders = try job.layout.schedule.orders(
      devices: job.layout.pipeline, microbatches: microbatches ?? job.layout.microbatches)
    return try orders.play(times)
  }

  /// Fills in everything about time.
  func fill(_ forecast: inout StepForecast) throws(ForesightError) {
    let ends = try ends()
    var last = (device: 0, finished: 0.0)
    for (device, time) in ends.enumerated() {
      let mine = stages(of: device)
      let count = mine.reduce(0) { $0 + end.work.parameters.count(stages[$1]) }
      let layers = mine.reduce(0) { $0 + stages[$1].layers }
      let backward = mine.reduce(0) { $0 + seconds[$1].backward.total }
      let experts = mine.reduce(0) { $0 + end.work.parameters.experts(stages[$1]) }
      let exposure = end.gradientSeconds(count: count, experts: experts, layers: layers, backward: backward)
      let update = end.optimizerSeconds(count: count, experts: experts)
      let finished = time + exposure + update
      guard finished > last.finished else { continue }
      last = (device, finished)
      forecast.exposed[.data] = exposure
      forecast.optimizerSeconds = update
    }
    // Under a schedule of two directions each micro-batch takes one of a device's two stages.
    let m = Double(job.layout.microbatches) * (job.layout.schedule.isBidirectional ? 0.5 : 1)
    var busy = 0.0
    for stage in stages(of: last.device) {
      for part in [seconds[stage].forward, seconds[stage].backward] {
        busy += m * part.total
        forecast.computeSeconds += m * part.device
        forecast.hostSeconds += m * max(0, part.host - part.busy)
        forecast.exposed[.tensor, default: 0] += m * part.tensor
        forecast.exposed[.context, default: 0] += m * part.context
        forecast.exposed[.expert, default: 0] += m * part.expert
        forecast.exposed[.data, default: 0] += m * part.data
      }
    }
    // Waits for other stages and their messages.
    forecast.bubbleSeconds = max(0, ends[last.device] - busy)
    let finished = last.finished
    forecast.stepSeconds = finished + end.work.constants.stepSeconds
  }
}
