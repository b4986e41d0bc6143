import ApusCommunication
import ApusCore
import Synchronization
import Testing

/// Times that transfers under way together take.
struct TransferLogTests {
  private let collective = Collective(.allReduce, count: 10, type: .float32, label: "gradients")

  private func note(
    _ log: inout TransferLog, start: UInt64, end: UInt64, waited: Range<UInt64>, starting: UInt64 = 0
  ) {
    log.note(
      collective, ranks: 2, group: "data", starting: starting, start: start, end: end, waited: waited)
  }

  @Test func aTransferThatIsOverBeforeItIsWaitedForIsHidden() {
    var log = TransferLog()
    note(&log, start: 1_000, end: 3_000, waited: 5_000..<5_100, starting: 50)
    let total = log.counters.total
    #expect(total.calls == 1 && total.payloadBytes == 40)
    #expect(abs(total.hiddenSeconds - 2e-6) < 1e-15 && abs(total.exposedSeconds - 150e-9) < 1e-15)
  }

  @Test func timeThatTwoTransfersShareCountsOnce() {
    var log = TransferLog()
    note(&log, start: 1_000, end: 6_000, waited: 4_000..<6_000)
    // Under way together with the first, and while that was waited for; then alone until 8,000.
    note(&log, start: 2_000, end: 8_000, waited: 9_000..<9_000)
    let total = log.counters.total
    #expect(abs(total.hiddenSeconds - (3_000 + 2_000) * 1e-9) < 1e-15)
    #expect(abs(total.exposedSeconds - 2_000e-9) < 1e-15)
    // Between the end of one and the next nothing is under way.
    note(&log, start: 20_000, end: 21_000, waited: 20_000..<21_000)
    #expect(abs(log.counters.total.hiddenSeconds - 5_000e-9) < 1e-15)
    #expect(abs(log.counters.total.exposedSeconds - 3_000e-9) < 1e-15)
  }

  @Test func anObserverSeesEachTransfer() {
    final class Seen: Sendable { let flights = Mutex<[Flight]>([]) }
    let seen = Seen()
    var log = TransferLog()
    log.observer = { flight in seen.flights.withLock { $0.append(flight) } }
    note(&log, start: 1, end: 7, waited: 7..<8)
    note(&log, start: 2, end: 9, waited: 8..<9)
    let flights = seen.flights.withLock { $0 }
    #expect(flights.map(\.start) == [1, 2] && flights.map(\.end) == [7, 9])
    #expect(flights.allSatisfy { $0.label == "gradients" && $0.group == "data" && $0.payloadBytes == 40 })
  }
}
