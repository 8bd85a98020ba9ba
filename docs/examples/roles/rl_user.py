"""A DQN and a DDPG in the loops that one writes for reinforcement learning, with nets of 64 units."""

import copy
import random
from collections import deque

import numpy as np

import fastnn
from fastnn import nn, optim

rng = np.random.default_rng(0)
random.seed(0)


class Line:
    """A cart with friction on a line: push it to the mark, and keep it there."""

    def reset(self):
        self.t, self.state = 0, np.array([rng.uniform(-1, 1), 0.0, rng.uniform(-0.5, 0.5)], dtype=np.float32)
        return self.state.copy()

    def step(self, push):
        x, v, mark = self.state
        v = 0.7 * v + 0.15 * float(np.clip(push, -1, 1))
        self.t, self.state = self.t + 1, np.array([np.clip(x + v, -1, 1), v, mark], dtype=np.float32)
        return self.state.copy(), -abs(self.state[0] - mark), self.t == 40


def sample(memory, k=64):
    s, a, r, s2 = zip(*random.sample(memory, k), strict=True)
    return np.stack(s), np.array(a), np.array(r, dtype=np.float32), np.stack(s2)


def mlp(inputs, outputs, *last, seed=0):
    return nn.Sequential(
        nn.Dense(inputs, 64), nn.ReLU(), nn.Dense(64, 64), nn.ReLU(), nn.Dense(64, outputs), *last, seed=seed
    )


def play(policy, episodes=20):
    env, total = Line(), 0.0
    for _ in range(episodes):
        s, done = env.reset(), False
        while not done:
            s, r, done = env.step(policy(s))
            total += r
    return total / episodes


pushes = np.array([-1.0, 0.0, 1.0])
random_return = play(lambda s: rng.choice(pushes))

# DQN: the derivative of the Huber loss at the chosen action
q, gamma = mlp(3, 3), 0.95
target = copy.deepcopy(q)
trainer = fastnn.Trainer(q, optimizer=optim.Adam(lr=2e-3), clip_norm=10.0)
env, memory, steps = Line(), deque(maxlen=10_000), 0
for _ in range(50):
    s, done = env.reset(), False
    while not done:
        a = rng.integers(3) if rng.random() < max(0.05, 1 - steps / 1000) else q.predict(s[None])[0].argmax()
        s2, r, done = env.step(pushes[a])
        memory.append((s, a, r, s2))
        s, steps = s2, steps + 1
        if len(memory) < 200:
            continue
        S, A, R, S2 = sample(memory)
        z, rows = q.forward(S, training=True), np.arange(64)
        dz = np.zeros_like(z)
        dz[rows, A] = np.clip(z[rows, A] - (R + gamma * target(S2).max(axis=1)), -1, 1) / 64
        q.backward(dz)
        trainer.step()
        target.copy_from(q, tau=0.02)
dqn_return = play(lambda s: pushes[q(s[None])[0].argmax()])
assert trainer.step_count > 1500 and q.training_steps == trainer.step_count

# the other habit: whole rows of targets, and fit for one epoch
S, A, R, S2 = sample(memory, 256)
Y = q.predict(S)
Y[np.arange(256), A] = R + gamma * target.predict(S2).max(axis=1)
fitter = fastnn.Trainer(q.copy(), loss="huber", optimizer="adam", metrics=["r2"])
assert fitter.fit(S, Y, epochs=1, batch_size=64, verbose=0)[-1]["loss"] < 0.1
assert fitter.evaluate(S, Y)["r2"] > 0.5

# DDPG: the critic's derivative with respect to the action goes on into the actor
actor, critic = mlp(3, 1, nn.Tanh(), seed=1), mlp(4, 1, seed=2)
actor_target, critic_target = actor.copy(), critic.copy()
actor_step = fastnn.Trainer(actor, optimizer=optim.Adam(lr=1e-3)).step
critic_step = fastnn.Trainer(critic, optimizer=optim.Adam(lr=2e-3)).step
for _ in range(1500):
    S, A, R, S2 = sample(memory)
    A = pushes[A].astype(np.float32)[:, None]
    goal = R[:, None] + gamma * critic_target(np.hstack([S2, actor_target(S2)]))
    critic.backward((critic.forward(np.hstack([S, A]), training=True) - goal) / 64)
    critic_step()
    action = actor.forward(S, training=True)
    critic.forward(np.hstack([S, action]), training=True, input_grad=True)
    actor.backward(critic.backward(np.full((64, 1), -1 / 64))[:, 3:])
    actor_step()
    actor_target.copy_from(actor, tau=0.02)
    critic_target.copy_from(critic, tau=0.02)
ddpg_return = play(lambda s: actor(s[None])[0, 0])
print(f"returns: random {random_return:.1f}, DQN {dqn_return:.1f}, DDPG {ddpg_return:.1f}")
assert dqn_return > random_return / 2 and ddpg_return > random_return / 2
