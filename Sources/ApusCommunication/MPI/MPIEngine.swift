import ApusCore
import CApusKernels
import CApusMPI
import Foundation

/// The communication thread: the only one that calls the message library.
///
/// Collectives are handed to it and waited for on a condition, so that computing threads never call MPI and
/// never spin. While transfers are under way it tests them and sleeps between tests that find nothing, briefly
/// when somebody waits, longer when the processor is wanted for computing.
///
/// All mutable state is guarded by `condition`, apart from what only the thread itself uses.
final class MPIEngine: @unchecked Sendable {
  /// Something for the thread to do once, in order, between collectives.
  private struct Errand {
    let body: () -> Void
  }

  /// Called when a rank gives up a collective under way, with what it was.
  let onDrop: @Sendable (String) -> Void
  private let condition = NSCondition()
  private var incoming: [MPITransfer] = []
  private var errands: [Errand] = []
  private var waiting = 0
  private var isStopping = false
  private var hasStopped = false
  // Of the thread alone.
  private var active: [MPITransfer] = []
  let scratch = MPIScratch()

  init(onDrop: @escaping @Sendable (String) -> Void) { self.onDrop = onDrop }

  /// Starts the thread.
  func start() {
    let thread = Thread { [self] in run() }
    thread.name = "communication"
    thread.stackSize = 4 << 20
    thread.start()
  }

  /// Hands over a collective.
  func submit(_ transfer: MPITransfer) {
    condition.lock()
    incoming.append(transfer)
    condition.broadcast()
    condition.unlock()
  }

  /// Blocks until the transfer is over.
  func wait(_ transfer: MPITransfer) {
    condition.lock()
    waiting += 1
    condition.broadcast()
    while !transfer.isOver { condition.wait() }
    waiting -= 1
    condition.unlock()
  }

  /// Runs `body` on the communication thread and returns its result.
  func perform<Value>(_ body: @escaping () -> Value) -> Value {
    var value: Value?
    condition.lock()
    errands.append(Errand { value = body() })
    condition.broadcast()
    while value == nil { condition.wait() }
    condition.unlock()
    return value!
  }

  /// Ends the thread, which must have nothing left to do.
  func stop() {
    condition.lock()
    isStopping = true
    condition.broadcast()
    while !hasStopped { condition.wait() }
    condition.unlock()
  }

  // MARK: The thread

  private func run() {
    // Sums of received segments are made here, beside the threads that compute.
    apus_set_thread_count(1)
    apus_sleep_precisely()
    var idle = 0
    condition.lock()
    while true {
      while errands.isEmpty, incoming.isEmpty, active.isEmpty, !isStopping { condition.wait() }
      if errands.isEmpty, incoming.isEmpty, active.isEmpty { break }
      for errand in errands {
        errand.body()
        condition.broadcast()
      }
      errands.removeAll()
      active += incoming
      incoming.removeAll(keepingCapacity: true)
      condition.unlock()
      let hasMoved = advance()
      condition.lock()
      if hasMoved {
        idle = 0
        settle()
      } else if !active.isEmpty, incoming.isEmpty, errands.isEmpty {
        idle += 1
        sleep(idle)
      }
    }
    hasStopped = true
    condition.broadcast()
    condition.unlock()
  }

  /// Drives all transfers; true if anything has moved.
  private func advance() -> Bool {
    var hasMoved = false
    for transfer in active where transfer.advance() { hasMoved = true }
    return hasMoved
  }

  /// Lets those go on who wait for what is over. Under the lock.
  private func settle() {
    for transfer in active { transfer.settle() }
    active.removeAll { $0.isOver }
    condition.broadcast()
  }

  /// Sleeps after `idle` rounds in which nothing moved: 20 microseconds at first, up to 100 when a rank waits
  /// and 400 when it computes. A new collective wakes it.
  private func sleep(_ idle: Int) {
    let longest = waiting > 0 ? 100e-6 : 400e-6
    let seconds = min(longest, 20e-6 * Double(1 << min(idle / 4, 5)))
    _ = condition.wait(until: Date(timeIntervalSinceNow: seconds))
  }
}
