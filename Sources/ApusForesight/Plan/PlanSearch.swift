import ApusCore
import Foundation
import Synchronization

/// The search for the best layout: the memory of every choice, then the time of those that fit.
package struct PlanSearch: Sendable {
  package typealias Choice = PlanRequest.Choice

  /// A choice that fits, and what it reaches.
  package struct Entry: Hashable, Sendable {
    package let choice: Choice
    package let forecast: StepForecast
  }

  package let request: PlanRequest
  /// Fastest first.
  package let entries: [Entry]
  /// Choices that were looked at.
  package let choiceCount: Int
  /// What does not fit, by choice.
  private let rejected: [Choice: MemoryVerdict]
  private let position: [Choice: Int]

  package init(_ request: PlanRequest, simulator: StepSimulator = StepSimulator()) {
    self.request = request
    let choices = request.choices
    choiceCount = choices.count
    var limited = request.hardware
    limited.memoryBytes = request.usableBytes
    let (entries, rejected) = Self.foresee(choices, request, limited, simulator)
    self.rejected = rejected
    self.entries = entries.sorted {
      ($0.forecast.stepSeconds, $0.forecast.memory.devicePeak) < (
        $1.forecast.stepSeconds, $1.forecast.memory.devicePeak
      )
    }
    position = Dictionary(uniqueKeysWithValues: self.entries.enumerated().map { ($1.choice, $0) })
  }

  /// Shares the choices out to the cores.
  private static func foresee(
    _ choices: [Choice], _ request: PlanRequest, _ limited: HardwareDescription, _ simulator: StepSimulator
  ) -> ([Entry], [Choice: MemoryVerdict]) {
    let results = Mutex<(entries: [Entry], rejected: [Choice: MemoryVerdict])>(([], [:]))
    let chunk = 32
    DispatchQueue.concurrentPerform(iterations: (choices.count + chunk - 1) / chunk) { part in
      var entries: [Entry] = []
      var rejected: [Choice: MemoryVerdict] = [:]
      for choice in choices[part * chunk..<min(choices.count, (part + 1) * chunk)] {
        let job = request.job(choice)
        if let verdict = MemoryVerdict(simulator.memory(of: job), limited) {
          rejected[choice] = verdict
        } else if let forecast = try? simulator.forecast(job) {
          entries.append(Entry(choice: choice, forecast: forecast))
        }
      }
      results.withLock { all in
        all.entries += entries
        all.rejected.merge(rejected) { first, _ in first }
      }
    }
    return results.withLock { ($0.entries, $0.rejected) }
  }

  package var best: Entry? { entries.first }

  /// The best of each different division of the work, so that a list does not show one layout ten times with other
  /// schedules and micro-batches.
  package func topLayouts(_ count: Int) -> [Entry] {
    var seen = Set<[Int]>()
    var top: [Entry] = []
    for entry in entries where top.count < count {
      let c = entry.choice
      if seen.insert([c.data, c.tensor, c.context, c.pipeline, c.expert, c.zeroStage, c.shardDegree]).inserted
      {
        top.append(entry)
      }
    }
    return top
  }

  package func entry(_ choice: Choice) -> Entry? { position[choice].map { entries[$0] } }
  package func verdict(_ choice: Choice) -> MemoryVerdict? { rejected[choice] }

  // MARK: Families

  /// Layouts with the same axes in use, and how the best of them does.
  package struct Family: Hashable, Sendable {
    package enum Standing: Hashable, Sendable {
      case fits(Entry)
      /// Nothing of it fits; the choice that misses least.
      case rejected(MemoryVerdict, Choice)
    }

    package let name: String
    package let count: Int
    package let standing: Standing
  }

  /// Every family, the fastest first, those that do not fit last.
  package var families: [Family] {
    var counts: [String: Int] = [:]
    for choice in request.choices { counts[choice.family, default: 0] += 1 }
    var fitting: [Family] = []
    var names = Set<String>()
    for entry in entries where names.insert(entry.choice.family).inserted {
      let name = entry.choice.family
      fitting.append(Family(name: name, count: counts[name] ?? 0, standing: .fits(entry)))
    }
    var least: [String: (MemoryVerdict, Choice)] = [:]
    for (choice, verdict) in rejected where !names.contains(choice.family) {
      if let known = least[choice.family], known.0.missing <= verdict.missing { continue }
      least[choice.family] = (verdict, choice)
    }
    let others = least.sorted { ($0.value.0.missing.bytes, $0.key) < ($1.value.0.missing.bytes, $1.key) }
    return fitting
      + others.map {
        Family(name: $0.key, count: counts[$0.key] ?? 0, standing: .rejected($0.value.0, $0.value.1))
      }
  }
}
