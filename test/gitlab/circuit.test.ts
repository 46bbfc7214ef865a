import { describe, expect, test } from 'vitest'
import { createCircuit, type Ticket } from '../../src/gitlab/circuit.ts'
import { createTime } from './support.ts'

function enter(circuit: ReturnType<typeof createCircuit>): Ticket {
  const ticket = circuit.enter()
  if ('refusedFor' in ticket) throw new Error(`refused for ${ticket.refusedFor} ms`)
  return ticket
}

describe('after trouble with an instance', () => {
  test('the pause grows from 1 s to 60 s, a quarter of it left to chance', () => {
    const time = createTime()
    const circuit = createCircuit(time)
    const pauses: number[] = []
    for (let i = 0; i < 9; i++) {
      circuit.leave(enter(circuit), 'trouble', '502')
      const next = circuit.enter()
      pauses.push('refusedFor' in next ? next.refusedFor : 0)
      time.pass(60_000)
    }
    expect(pauses).toEqual([875, 1750, 3500, 7000, 14_000, 28_000, 52_500, 52_500, 52_500])
  })

  test('one call tries, the others wait for what it finds; success opens the way', () => {
    const time = createTime()
    const circuit = createCircuit(time)
    circuit.leave(enter(circuit), 'trouble', '502 Bad Gateway')
    const since = new Date(time.now())
    expect(circuit.state()).toEqual({ reachable: false, since, lastError: '502 Bad Gateway' })
    time.pass(1_000)
    const probe = enter(circuit)
    expect(circuit.enter()).toEqual({ refusedFor: 1_000 })
    circuit.leave(probe, 'answered')
    expect(circuit.state()).toEqual({ reachable: true, since: new Date(time.now()), lastError: null })
    circuit.leave(enter(circuit), 'trouble')
    expect(circuit.pause()).toBe(875)
  })

  test('calls that were in flight together count as one failure, and a late success of theirs changes nothing', () => {
    const circuit = createCircuit(createTime())
    const tickets = Array.from({ length: 50 }, () => enter(circuit))
    for (const ticket of tickets.slice(1)) circuit.leave(ticket, 'trouble', 'ECONNRESET')
    circuit.leave(tickets[0]!, 'answered')
    expect(circuit.enter()).toEqual({ refusedFor: 875 })
  })

  test('one 500 may be about its own request; two in a row are trouble', () => {
    const circuit = createCircuit(createTime())
    circuit.leave(enter(circuit), 'fault')
    circuit.leave(enter(circuit), 'answered')
    circuit.leave(enter(circuit), 'fault')
    expect(circuit.state().reachable).toBe(true)
    circuit.leave(enter(circuit), 'fault', '500')
    expect(circuit.state().reachable).toBe(false)
  })
})
