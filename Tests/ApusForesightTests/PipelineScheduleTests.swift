import Testing

@testable import ApusForesight

// Pipeline schedules against the published formulas and figures (domain reference B5).

/// A schedule's orders, played with equal stages.
private func play(
  _ schedule: PipelineSchedule, devices: Int, microbatches: Int, forward: Double = 1, input: Double = 1,
  weight: Double = 1, transfer: Double = 0
) throws -> Timetable {
  let orders = try schedule.orders(devices: devices, microbatches: microbatches)
  let times = PipelineTimes(
    orders, forward: forward, backwardInput: input, backwardWeight: weight, transfer: transfer)
  return try orders.play(times)
}

/// Every schedule that is defined for the numbers.
private func schedules(devices: Int, microbatches: Int) -> [PipelineSchedule] {
  var all: [PipelineSchedule] = [
    .naive, .allForwardAllBackward, .oneForwardOneBackward, .zeroBubbleH1, .zeroBubbleH2, .dualPipe,
  ]
  for chunks in 1...3 {
    for group in [nil, microbatches, devices, devices + 1] as [Int?] {
      all.append(.interleaved(chunks: chunks, group: group))
    }
  }
  return all.filter {
    (try? $0.check(devices: devices, microbatches: microbatches)) != nil
  }
}

@Suite struct PipelineScheduleTests {
  @Test("Every device does each micro-batch's passes exactly once, forward first, and nothing stands still")
  func completeness() throws {
    for devices in [1, 2, 3, 4, 8] {
      for microbatches in [1, 2, 3, 7, 8, 16, 20] {
        for schedule in schedules(devices: devices, microbatches: microbatches) {
          let orders = try schedule.orders(devices: devices, microbatches: microbatches)
          for list in orders.orders {
            let forwards = list.filter { $0.work == .forward }
            let count = schedule.isBidirectional ? microbatches : microbatches * schedule.chunks
            #expect(forwards.count == count && Set(list).count == list.count)
            for kinds in [[PipelineAction.Work.backward, .backwardInput], [.backward, .backwardWeight]] {
              let ended = list.filter { kinds.contains($0.work) }.map { [$0.chunk, $0.microbatch] }
              #expect(Set(ended) == Set(forwards.map { [$0.chunk, $0.microbatch] }) && ended.count == count)
            }
          }
          let times = PipelineTimes(orders, forward: 1, backwardInput: 1, backwardWeight: 1, transfer: 0.25)
          let table = try orders.play(times)
          #expect(table.entries.map(\.count) == orders.orders.map(\.count))
        }
      }
    }
  }

  @Test("The 24 bars of the chart for 8 stages: (p - 1) / (v m)")
  func chartBars() throws {
    let bars: [(m: Int, v: Int, r: Double)] = [
      (32, 8, 0.027), (16, 8, 0.055), (32, 4, 0.055), (32, 2, 0.109), (16, 4, 0.109), (8, 8, 0.109),
      (32, 1, 0.219), (16, 2, 0.219), (8, 4, 0.219), (4, 8, 0.219), (4, 4, 0.4375), (8, 2, 0.4375),
      (2, 8, 0.4375), (16, 1, 0.4375), (8, 1, 0.875), (2, 4, 0.875), (1, 8, 0.875), (4, 2, 0.875),
      (4, 1, 1.75), (2, 2, 1.75), (1, 4, 1.75), (2, 1, 3.5), (1, 2, 3.5), (1, 1, 7),
    ]
    #expect(bars.count == 24)
    for bar in bars {
      let schedule = PipelineSchedule.interleaved(chunks: bar.v, group: nil)
      let formula = PipelineBubble(schedule, devices: 8, microbatches: bar.m)
        .ratio(forward: 1, input: 1, weight: 1)
      #expect(abs(formula - bar.r) < 0.0006, "m \(bar.m), v \(bar.v)")
      // Fewer micro-batches than stages cannot fill the pipeline; the formula is a limit then.
      let played = try play(schedule, devices: 8, microbatches: bar.m).bubbleRatio
      if bar.m >= 8 || bar.v == 1 {
        #expect(abs(played - formula) < 1e-12, "m \(bar.m), v \(bar.v)")
      } else {
        #expect(played > formula)
      }
    }
  }

  @Test("Played bubbles equal the formulas of naive, AFAB, 1F1B and interleaved")
  func bubbles() throws {
    for devices in [2, 3, 4, 8] {
      for multiple in 1...3 {
        let m = devices * multiple
        let chosen: [PipelineSchedule] = [
          .naive, .allForwardAllBackward, .oneForwardOneBackward, .interleaved(chunks: 2, group: nil),
          .interleaved(chunks: 4, group: m), .interleaved(chunks: 3, group: nil), .zeroBubbleH1,
        ]
        for schedule in chosen {
          let table = try play(schedule, devices: devices, microbatches: m, forward: 1, input: 1, weight: 1)
          let lost = PipelineBubble(schedule, devices: devices, microbatches: m)
            .time(forward: 1, input: 1, weight: 1)
          #expect(abs(table.makespan - Double(3 * m) - lost) < 1e-9, "\(schedule) p \(devices) m \(m)")
        }
      }
    }
  }

  @Test("4 stages, 8 micro-batches, forward 1, backward 2: 1F1B ends at 33, ZB-H1 at 27")
  func figures() throws {
    #expect(try play(.oneForwardOneBackward, devices: 4, microbatches: 8).makespan == 33)
    #expect(try play(.allForwardAllBackward, devices: 4, microbatches: 8).makespan == 33)
    #expect(try play(.zeroBubbleH1, devices: 4, microbatches: 8).makespan == 27)
  }

  @Test("ZB-H2: 24 busy slots, no gap inside a device, ends at 24 to 27")
  func zeroBubbleH2() throws {
    let table = try play(.zeroBubbleH2, devices: 4, microbatches: 8)
    for device in 0..<4 {
      #expect(table.busy(device: device) == 24)
      #expect(table.innerIdle(device: device) == 0)
      #expect(table.entries[device].last?.end == Double(24 + device))
    }
  }

  @Test("Live micro-batches: AFAB m, 1F1B min(m, p - rank), ZB-H1 at most p, ZB-H2 at most 2p - 1")
  func liveMicrobatches() throws {
    for devices in 1...6 {
      for m in [1, 2, 5, 8, 13] {
        func peaks(_ schedule: PipelineSchedule) throws -> [Int] {
          let orders = try schedule.orders(devices: devices, microbatches: m)
          return (0..<devices).map(orders.peakLive(device:))
        }
        #expect(try peaks(.naive) == Array(repeating: 1, count: devices))
        #expect(try peaks(.allForwardAllBackward) == Array(repeating: m, count: devices))
        #expect(try peaks(.oneForwardOneBackward) == (0..<devices).map { min(m, devices - $0) })
        #expect(try peaks(.zeroBubbleH1).allSatisfy { $0 <= devices })
        #expect(try peaks(.zeroBubbleH2).allSatisfy { $0 <= 2 * devices - 1 })
      }
    }
  }

  @Test("Slabs: 1F1B needs min(p - stage, m), indexed modulo, without collisions")
  func slabs() throws {
    for devices in 1...8 {
      for m in 1...20 {
        let orders = try PipelineSchedule.oneForwardOneBackward.orders(devices: devices, microbatches: m)
        for device in 0..<devices {
          #expect(orders.slabsNeeded(device: device) == min(devices - device, m))
        }
      }
    }
  }

  @Test("Llama 3.1's figure: 8 stages on 4 ranks, 10 micro-batches, 5 in a row")
  func llama() throws {
    let schedule = PipelineSchedule.interleaved(chunks: 2, group: 5)
    let orders = try schedule.orders(devices: 4, microbatches: 10)
    #expect(
      (0..<4).map { [orders.stage(device: $0, chunk: 0), orders.stage(device: $0, chunk: 1)] }
        == [[0, 4], [1, 5], [2, 6], [3, 7]])
    let forwards = orders.orders[0].filter { $0.work == .forward }
    #expect(forwards.map(\.microbatch) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9])
    #expect(forwards.map(\.chunk) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    // The group trades memory: depth first holds the fewest, breadth first all.
    let live = try [4, 5, 10].map { group in
      try PipelineSchedule.interleaved(chunks: 2, group: group).orders(devices: 4, microbatches: 10)
        .peakLive(device: 0)
    }
    #expect(live[0] <= live[1] && live[1] < live[2] && live[2] <= 20)
  }

  @Test("DualPipe: 8 ranks, 20 micro-batches in two directions; the published bubble")
  func dualPipe() throws {
    let orders = try PipelineSchedule.dualPipe.orders(devices: 8, microbatches: 20)
    let directions = Dictionary(grouping: orders.orders.joined(), by: \.chunk)
    #expect(Set(directions[0]?.map(\.microbatch) ?? []) == Set(0..<10))
    #expect(Set(directions[1]?.map(\.microbatch) ?? []) == Set(10..<20))
    for (forward, input, weight) in [(1.0, 1.0, 1.0), (2, 2, 1), (3, 3, 2), (3, 4, 2)] {
      let table = try play(
        .dualPipe, devices: 8, microbatches: 20, forward: forward, input: input, weight: weight)
      let lost = PipelineBubble(.dualPipe, devices: 8, microbatches: 20)
        .time(forward: forward, input: input, weight: weight)
      // A device works on 10 micro-batches in each of its two stages. The formula holds where forward takes as
      // long as backward for inputs, and nearly otherwise.
      let beyond = table.makespan - 20 * (forward + input + weight) - lost
      #expect(forward == input ? abs(beyond) < 1e-9 : abs(beyond) < 0.02 * table.makespan)
      for device in 0..<8 {
        #expect(abs(table.busy(device: device) - table.busy(device: 7 - device)) < 1e-9)
      }
    }
    // At most devices + 1 activations (DeepSeek-AI 2024, table 2).
    #expect((0..<8).map(orders.peakLive(device:)).max() == 9)
  }

  @Test("What no schedule can do is refused by name")
  func refusals() {
    #expect(throws: ForesightError.self) { try PipelineSchedule.dualPipe.check(devices: 3, microbatches: 8) }
    #expect(throws: ForesightError.self) { try PipelineSchedule.dualPipe.check(devices: 8, microbatches: 12) }
    #expect(throws: ForesightError.self) {
      try PipelineSchedule.interleaved(chunks: 2, group: 2).check(devices: 4, microbatches: 8)
    }
    #expect(throws: ForesightError.self) { try PipelineSchedule.naive.check(devices: 2, microbatches: 0) }
  }
}

@Suite struct PipelinePlayTests {
  @Test("Rendezvous sends stand still in 1F1B; one mailbox a direction completes, more are never slower")
  func mailboxes() throws {
    for devices in 2...6 {
      for m in [2, 3, 8, 13] {
        let orders = try PipelineSchedule.oneForwardOneBackward.orders(devices: devices, microbatches: m)
        let times = PipelineTimes(orders, forward: 1, backwardInput: 1, backwardWeight: 1, transfer: 0.1)
        #expect(throws: ForesightError.self) { try orders.play(times, mailboxes: 0) }
        let makespans = try [1, 2, m].map { try orders.play(times, mailboxes: $0).makespan }
        #expect(makespans[0] >= makespans[1] && makespans[1] >= makespans[2])
        #expect(makespans[2] == (try orders.play(times).makespan))
      }
    }
    // AFAB's sends all go one way at a time, so even rendezvous ends.
    let afab = try PipelineSchedule.allForwardAllBackward.orders(devices: 4, microbatches: 8)
    let times = PipelineTimes(afab, forward: 1, backwardInput: 1, backwardWeight: 1)
    #expect(try afab.play(times, mailboxes: 0).makespan >= 33)
  }

  @Test("A wrong order stands still and says who waits for what")
  func standstill() throws {
    let right = try PipelineSchedule.oneForwardOneBackward.orders(devices: 2, microbatches: 2)
    var orders = right.orders
    orders[0].swapAt(0, 2)
    let wrong = PipelineOrders(
      schedule: .oneForwardOneBackward, devices: 2, microbatches: 2, orders: orders)
    let times = PipelineTimes(wrong, forward: 1, backwardInput: 1, backwardWeight: 1)
    #expect(
      throws: ForesightError.deadlock("device 0 waits to begin B0; device 1 waits to begin F0")
    ) { try wrong.play(times) }
  }

  @Test("Transfers and unequal stages: the slowest stage sets the pace")
  func unequalStages() throws {
    let orders = try PipelineSchedule.oneForwardOneBackward.orders(devices: 2, microbatches: 10)
    let fast = PipelineTimes.Stage(forward: 1, backwardInput: 1, backwardWeight: 0)
    let slow = PipelineTimes.Stage(forward: 2, backwardInput: 2, backwardWeight: 0)
    let table = try orders.play(PipelineTimes(stages: [fast, slow], transfers: [0.5]))
    // The second device starts after a forward and a transfer and then never waits; the last gradient travels back.
    #expect(table.innerIdle(device: 1) == 0)
    #expect(table.makespan == 1 + 0.5 + 40 + 0.5 + 1)
  }
}
