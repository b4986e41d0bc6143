import ApusCore

extension PipelineOrders {
  /// Plays the orders: every device takes its actions in turn, each as soon as the device is free and its input
  /// has arrived.
  ///
  /// - Parameter mailboxes: how many outputs a device may have under way to one other device and direction before
  ///   it waits for the receiver; 0: a sender waits until the receiver stands ready (rendezvous); nil: no limit.
  /// - Throws: `ForesightError.deadlock` when devices wait for each other for ever.
  package func play(_ times: PipelineTimes, mailboxes: Int? = nil) throws(ForesightError) -> Timetable {
    var play = PipelinePlay(self, times, mailboxes: mailboxes)
    play.run()
    guard play.isFinished else { throw .deadlock(play.standstill) }
    return Timetable(entries: play.entries)
  }
}

/// The state of a pipeline while its orders are played.
///
/// Orders are static, so the k-th message between two devices and the k-th reading there are known; no clock runs
/// over all devices, and the result does not depend on the order in which devices are looked at.
struct PipelinePlay {
  /// An output on its way: forward to the next stage or backward to the one before.
  private struct Message {
    var slot: Int
    var to: Int
    var delay: Double
  }

  private let orders: PipelineOrders
  private let times: PipelineTimes
  private let mailboxes: Int?
  private let units: [[Range<Int>]]
  private let stageCount: Int

  private(set) var entries: [[Timetable.Entry]]
  private var nextUnit: [Int]
  private var free: [Double]
  /// Outputs computed but not yet given away, a device.
  private var leaving: [[Message]]
  /// When an input is there: of forward, then of backward, by micro-batch and stage; NaN before.
  private var arrivals: [Double]
  /// Messages sent, and when each was read, by sender and receiver.
  private var sent: [Int]
  private var read: [[Double]]

  init(_ orders: PipelineOrders, _ times: PipelineTimes, mailboxes: Int?) {
    require(
      times.stages.count == orders.stageCount && times.transfers.count == orders.stageCount - 1,
      "pipeline times: \(times.stages.count) stages and \(times.transfers.count) transfers for "
        + "\(orders.stageCount) stages")
    self.orders = orders
    self.times = times
    self.mailboxes = mailboxes
    units = (0..<orders.devices).map(orders.units(device:))
    stageCount = orders.stageCount
    entries = orders.orders.map { list in
      var entries: [Timetable.Entry] = []
      entries.reserveCapacity(list.count)
      return entries
    }
    nextUnit = Array(repeating: 0, count: orders.devices)
    free = Array(repeating: 0, count: orders.devices)
    leaving = Array(repeating: [], count: orders.devices)
    arrivals = Array(repeating: .nan, count: 2 * orders.microbatches * stageCount)
    let edges = mailboxes == nil ? 0 : orders.devices * orders.devices
    sent = Array(repeating: 0, count: edges)
    read = Array(repeating: [], count: edges)
    for microbatch in 0..<orders.microbatches { arrivals[microbatch * stageCount] = 0 }
  }

  var isFinished: Bool {
    orders.orders.indices.allSatisfy { nextUnit[$0] == units[$0].count && leaving[$0].isEmpty }
  }

  /// Looks at the devices forth and back, as micro-batches travel, until a whole round moves nothing.
  mutating func run() {
    var moved = true
    while moved {
      moved = false
      for device in 0..<orders.devices { moved = advance(device) || moved }
      for device in (0..<orders.devices).reversed() { moved = advance(device) || moved }
    }
  }

  /// Lets one device do what it can; whether that was anything.
  private mutating func advance(_ device: Int) -> Bool {
    var moved = false
    while true {
      if let message = leaving[device].first {
        guard let time = departure(of: message, from: device) else { return moved }
        leaving[device].removeFirst()
        free[device] = time
        arrivals[message.slot] = time + message.delay
      } else {
        guard nextUnit[device] < units[device].count, let start = start(of: device) else { return moved }
        run(units[device][nextUnit[device]], on: device, from: start)
        nextUnit[device] += 1
      }
      moved = true
    }
  }

  /// When the next actions of a device can start, or nil while an input is missing.
  private func start(of device: Int) -> Double? {
    var start = free[device]
    for index in units[device][nextUnit[device]] {
      let action = orders.orders[device][index]
      guard action.work != .backwardWeight else { continue }
      let arrival = arrivals[inputSlot(of: action, on: device)]
      guard !arrival.isNaN else { return nil }
      start = max(start, arrival)
    }
    return start
  }

  private mutating func run(_ unit: Range<Int>, on device: Int, from start: Double) {
    var duration = 0.0
    for index in unit {
      let action = orders.orders[device][index]
      duration += times.stages[orders.stage(device: device, chunk: action.chunk)][work: action.work]
      if mailboxes != nil, action.work != .backwardWeight, let sender = sender(of: action, to: device) {
        read[sender * orders.devices + device].append(start)
      }
    }
    if unit.count > 1 { duration *= times.joinedShare }
    let end = start + duration
    free[device] = end
    for index in unit {
      let action = orders.orders[device][index]
      entries[device].append(Timetable.Entry(action: action, start: start, end: end))
      if let message = message(of: action, on: device) {
        if mailboxes == nil || message.to == device {
          arrivals[message.slot] = end + message.delay
        } else {
          leaving[device].append(message)
        }
      }
    }
  }

  /// When an output leaves the device, or nil while the receiver has no room for it.
  private mutating func departure(of message: Message, from device: Int) -> Double? {
    let edge = device * orders.devices + message.to
    guard let mailboxes else { return free[device] }
    if mailboxes == 0 {
      let receiver = message.to
      guard leaving[receiver].isEmpty, nextUnit[receiver] < units[receiver].count else { return nil }
      let expects = units[receiver][nextUnit[receiver]].contains { index in
        let action = orders.orders[receiver][index]
        return action.work != .backwardWeight && inputSlot(of: action, on: receiver) == message.slot
      }
      return expects ? max(free[device], free[receiver]) : nil
    }
    let needed = sent[edge] + 1 - mailboxes
    guard read[edge].count >= needed else { return nil }
    sent[edge] += 1
    return needed > 0 ? max(free[device], read[edge][needed - 1]) : free[device]
  }

  private func slot(microbatch: Int, stage: Int, isBackward: Bool) -> Int {
    ((isBackward ? orders.microbatches : 0) + microbatch) * stageCount + stage
  }

  private func inputSlot(of action: PipelineAction, on device: Int) -> Int {
    let stage = orders.stage(device: device, chunk: action.chunk)
    return slot(microbatch: action.microbatch, stage: stage, isBackward: action.work != .forward)
  }

  /// The device that computes what an action reads; nil where it is the device itself or the data.
  private func sender(of action: PipelineAction, to device: Int) -> Int? {
    let stage = orders.stage(device: device, chunk: action.chunk)
    let previous = action.work == .forward ? stage - 1 : stage + 1
    guard previous >= 0, previous < stageCount else { return nil }
    let sender = orders.device(stage: previous, microbatch: action.microbatch)
    return sender == device ? nil : sender
  }

  /// What an action gives away. The last stage's forward is its own backward's input.
  private func message(of action: PipelineAction, on device: Int) -> Message? {
    let stage = orders.stage(device: device, chunk: action.chunk)
    switch action.work {
    case .backwardWeight: return nil
    case .forward where stage == stageCount - 1:
      return Message(
        slot: slot(microbatch: action.microbatch, stage: stage, isBackward: true), to: device, delay: 0)
    case .backward where stage == 0, .backwardInput where stage == 0: return nil
    case .forward, .backward, .backwardInput:
      let next = action.work == .forward ? stage + 1 : stage - 1
      let receiver = orders.device(stage: next, microbatch: action.microbatch)
      return Message(
        slot: slot(microbatch: action.microbatch, stage: next, isBackward: action.work != .forward),
        to: receiver, delay: receiver == device ? 0 : times.transfers[min(stage, next)])
    }
  }

  /// Who waits for what, when nobody can go on.
  var standstill: String {
    orders.orders.indices.compactMap { device -> String? in
      if let message = leaving[device].first {
        return "device \(device) waits to send to device \(message.to)"
      }
      guard nextUnit[device] < units[device].count else { return nil }
      return
        "device \(device) waits to begin \(orders.orders[device][units[device][nextUnit[device]].lowerBound])"
    }.joined(separator: "; ")
  }
}
