"""An actor-critic: one net with a policy and a value, which learns to keep a pole upright on a cart.

The net has two heads. The policy's outputs are the logits of the two actions, a push to the left or to the right. The
value's output predicts the return, the discounted sum of the rewards to come. After every round, 64 steps of 32 carts:

- the value learns the returns, by their squared error;
- the policy learns by its gradient: an action becomes more probable in proportion to its advantage, which is how much
  the return exceeds the predicted value.

The policy's loss is a function of one's own. Its target has two columns, action and advantage. Advantages may be below
0; as a column of the target they keep their size, which weights of the rows would not.
"""

import numpy as np

import fastnn
from fastnn import nn, optim

rng = np.random.default_rng(0)
ACTIONS, GAMMA, ENTROPY, ROUNDS = 2, 0.98, 0.01, 150


class Carts:
    """Carts on a rail, each with a pole that falls over if nobody pushes (Barto, Sutton and Anderson, 1983).

    A state is the place of the cart, its speed, the angle of the pole and how fast it turns.
    """

    def __init__(self, n):
        self.state = rng.uniform(-0.05, 0.05, size=(n, 4))

    def step(self, right):
        """Push all carts for a fiftieth of a second; return which poles fell. Their carts start anew."""
        _, speed, angle, turn = self.state.T
        push = (np.where(right, 10.0, -10.0) + 0.05 * turn**2 * np.sin(angle)) / 1.1
        fall = (9.8 * np.sin(angle) - np.cos(angle) * push) / (2 / 3 - 0.05 / 1.1 * np.cos(angle) ** 2)
        self.state = self.state + 0.02 * np.stack([speed, push - 0.05 / 1.1 * fall * np.cos(angle), turn, fall], axis=1)
        fell = (abs(self.state[:, 0]) > 2.4) | (abs(self.state[:, 2]) > 0.21)
        self.state[fell] = rng.uniform(-0.05, 0.05, size=(fell.sum(), 4))
        return fell


def log_probabilities(logits):
    return logits - np.logaddexp(logits[:, :1], logits[:, 1:])


def policy_loss(logits, target):
    """Return for each row -advantage * log(p[action]) - ENTROPY * entropy(p)."""
    log_p, action, advantage = log_probabilities(logits), target[:, 0].astype(int), target[:, 1]
    entropy = -(np.exp(log_p) * log_p).sum(axis=1)
    return -advantage * log_p[np.arange(len(log_p)), action] - ENTROPY * entropy


def policy_gradient(logits, target):
    """Return the derivative of each row's loss with respect to the logits."""
    log_p, action, advantage = log_probabilities(logits), target[:, 0].astype(int), target[:, 1:]
    p = np.exp(log_p)
    entropy = -(p * log_p).sum(axis=1, keepdims=True)
    return advantage * (p - np.eye(ACTIONS)[action]) + ENTROPY * p * (log_p + entropy)


def draw_actions(net, states):
    """Return an action for each state, drawn with the probabilities of the policy: True for a push to the right."""
    log_p = log_probabilities(net.predict(states)[:, :ACTIONS])
    return rng.random(len(states)) < np.exp(log_p[:, 1])


def steps_until_a_fall(net, longest=200):
    """Return for how many steps poles stand, on average over 32 carts."""
    carts, alive, steps = Carts(32), np.ones(32, bool), 0
    for _ in range(longest):
        alive &= ~carts.step(draw_actions(net, carts.state))
        steps += alive.sum()
    return steps / 32


net = nn.Sequential(
    nn.Dense(4, 64), nn.Tanh(), nn.Parallel(nn.Dense(64, ACTIONS), nn.Dense(64, 1), join="concat"), seed=0
)
heads = [
    (nn.CustomLoss(policy_loss, policy_gradient, target_columns=2), ACTIONS),
    ("mean_squared_error", 1, 0.5),
]
trainer = fastnn.Trainer(net, nn.HeadsLoss(heads), optim.Adam(lr=1e-2), optim.LinearLR(1.0, 0.02, ROUNDS))
before = steps_until_a_fall(net)

carts = Carts(32)
for _ in range(ROUNDS):
    states, actions, falls = [], [], []
    for _ in range(64):
        states.append(carts.state)
        actions.append(draw_actions(net, carts.state))
        falls.append(carts.step(actions[-1]))
    # the returns, from the last step to the first; a reward of 1 - GAMMA each step keeps them from 0 to 1
    goals, goal = [], net.predict(carts.state)[:, ACTIONS]
    for fell in reversed(falls):
        goal = np.where(fell, 0.0, 1 - GAMMA + GAMMA * goal)
        goals.insert(0, goal)
    states, actions, goals = (np.concatenate(each) for each in (states, actions, goals))
    advantage = goals - net.predict(states)[:, ACTIONS]
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    target = np.column_stack([actions, advantage, goals])
    trainer.fit(states, target, epochs=1, batch_size=len(states), verbose=0)

after = steps_until_a_fall(net)
print(f"poles stand for {before:.0f} steps before the training, for {after:.0f} of 200 after it")
assert after > 3 * before
assert fastnn.check_gradients(net, states[:50], target[:50], loss=trainer.loss, max_per_block=20)
