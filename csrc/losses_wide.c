/* losses_wide.c: a row's loss and its gradient in double, one entry after the other, for rows whose loss is not finite in the
 * type of their outputs.
 *
 * Here what overflows in float has its value, and infinite outputs have the limits of loss and gradient: no product of 0 and
 * infinity is taken.  Where the limit depends on the way there, as with two logits of infinity, it is NaN; so it is where an
 * output is NaN.
 */
#include "losses.h"

typedef struct {
    fnn_size itemsize, n;
    const char *z, *target;
    char *grad; /* or NULL */
    double scale;
    const double *parameters;
} row;

static double load(const row *r, const char *from, fnn_size i) {
    return r->itemsize == sizeof(float) ? (double)((const float *)from)[i] : ((const double *)from)[i];
}

static void put_slope(const row *r, fnn_size i, double slope) {
    if (!r->grad) return;
    if (r->itemsize == sizeof(float))
        ((float *)r->grad)[i] = (float)(slope * r->scale);
    else
        ((double *)r->grad)[i] = slope * r->scale;
}

static double above(double x) { return x < 0 ? 0 : x; } /* max(x, 0), or NaN */

/* a b, where no part of anything is nothing */
static double part(double a, double b) { return a == 0 && !isnan(b) ? 0 : a * b; }

static double softplus(double x) { return above(x) + log1p(exp(-fabs(x))); }

static double sigmoid(double x) {
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* ---- classes ---- */

typedef struct {
    const row *r;
    int by_label;
    fnn_size label;
    double weight; /* what those of the classes are multiplied by */
} classes;

static classes classes_of(const row *r, int by_label) {
    classes c = {.r = r, .by_label = by_label, .label = by_label ? (fnn_size) * (const int64_t *)r->target : -1, .weight = 1};
    if (by_label && r->parameters) c.weight = 1 / r->parameters[1 + c.label];
    return c;
}

/* The target's part of a class */
static double part_of(const classes *c, fnn_size i) {
    const double t = c->by_label ? i == c->label : load(c->r, c->r->target, i), *p = c->r->parameters;
    return p ? p[1 + i] * c->weight * ((1 - p[0]) * t + p[0] / (double)c->r->n) : t;
}

static double entropy(const row *r, int by_label) {
    const classes c = classes_of(r, by_label);
    double top = -INFINITY, sum = 0, parts = 0, loss = 0;
    fnn_size endless = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        const double z = load(r, r->z, i);
        top = z > top ? z : top;
        endless += z == INFINITY;
    }
    /* A single logit of infinity leaves nothing to the others. */
#define BELOW(z) (endless == 1 && (z) == top ? 0 : (z) - top)
    for (fnn_size i = 0; i < r->n; i++) sum += exp(BELOW(load(r, r->z, i))), parts += part_of(&c, i);
    for (fnn_size i = 0; i < r->n; i++) {
        const double below = BELOW(load(r, r->z, i)), u = part_of(&c, i);
        loss += part(u, log(sum) - below);
        put_slope(r, i, exp(below) / sum * parts - u);
    }
#undef BELOW
    return loss;
}

static double cross_entropy_labels(const row *r) { return entropy(r, 1); }
static double cross_entropy(const row *r) { return entropy(r, 0); }
static double log_loss_labels(const row *r) { return held(entropy(r, 1), r->itemsize); }

static double multi_margin(const row *r) {
    const fnn_size label = (fnn_size) * (const int64_t *)r->target;
    const double score = load(r, r->z, label), p = r->parameters[0], margin = r->parameters[1];
    double loss = 0, slopes = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        if (i == label) continue;
        const double h = above(margin - score + load(r, r->z, i)), slope = p == 2 ? 2 * h : h > 0 ? 1 : h;
        loss += p == 2 ? h * h : h;
        slopes += slope;
        put_slope(r, i, slope);
    }
    put_slope(r, label, -slopes);
    return loss;
}

/* ---- columns that count for themselves: a term, and its derivative by z; t is the column's target ---- */

typedef double (*term)(const row *r, fnn_size i, double z, double t, double *d);

static double columns(const row *r, term f, fnn_size of_target) {
    double loss = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        double d;
        loss += f(r, i, load(r, r->z, i), load(r, r->target, i / of_target), &d);
        put_slope(r, i, d);
    }
    return loss;
}
#define COLUMNS(name) \
    static double name(const row *r) { return columns(r, name##_term, 1); }

static double binary_cross_entropy_term(const row *r, fnn_size i, double z, double t, double *d) {
    const double yes = (r->parameters ? r->parameters[i] : 1) * t, no = 1 - t;
    *d = r->parameters ? no - (no + yes) * sigmoid(-z) : sigmoid(z) - t;
    return part(yes, softplus(-z)) + part(no, softplus(z));
}
COLUMNS(binary_cross_entropy)

static double log_loss_term(const row *r, fnn_size i, double z, double t, double *d) {
    return held(binary_cross_entropy_term(r, i, z, t, d), r->itemsize);
}
COLUMNS(log_loss)

static double mean_squared_error_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    *d = 2 * (z - t);
    return (z - t) * (z - t);
}
COLUMNS(mean_squared_error)

static double mean_absolute_error_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    const double e = z - t;
    *d = e > 0 ? 1 : e < 0 ? -1 : e;
    return fabs(e);
}
COLUMNS(mean_absolute_error)

static double huber_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)i;
    const double delta = r->parameters[0], e = z - t, a = fabs(e);
    *d = a > delta ? copysign(delta, e) : e;
    return a > delta ? delta * (a - delta / 2) : e * e / 2;
}
COLUMNS(huber)

static double log_cosh_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    const double a = fabs(z - t), half = sinh((a < 1 ? a : 1) / 2);
    *d = tanh(z - t);
    return a < 1 ? log1p(2 * half * half) : a - 0.69314718055994530942 + log1p(exp(-2 * a));
}
COLUMNS(log_cosh)

static double poisson_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)i;
    const double *p = r->parameters, constant = p[1] != 0 ? poisson_constant(t, p[1] == 2) : 0;
    const double rate = p[0] != 0 ? exp(z) : z + p[2];
    const int endless = rate == INFINITY; /* and outweighs the other term */
    if (p[0] != 0) {
        *d = rate - t;
        return (endless ? rate : rate - part(t, z)) + constant;
    }
    *d = 1 - (t == 0 && rate == 0 ? 0 : t / rate);
    return (endless ? rate : z - part(t, log(rate))) + constant;
}
COLUMNS(poisson)

static double quantile_term(const row *r, fnn_size i, double z, double t, double *d) {
    const double q = r->parameters[1 + i % (fnn_size)r->parameters[0]], e = t - z;
    *d = e > 0 ? -q : e < 0 ? 1 - q : e;
    return (e > 0 ? q : q - 1) * e;
}
static double quantile(const row *r) { return columns(r, quantile_term, (fnn_size)r->parameters[0]); }

static double hinge_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    const double h = above(1 - t * z);
    *d = h > 0 ? -t : h;
    return h;
}
COLUMNS(hinge)

static double squared_hinge_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    const double h = above(1 - t * z);
    *d = -2 * t * h;
    return h * h;
}
COLUMNS(squared_hinge)

#define ENTRY(name) [FNN_LOSS_##name] = name,
static double (*const losses[FNN_N_LOSSES])(const row *r) = {FNN_LOSSES(ENTRY)};

double fnn_loss_wide(int kind, fnn_size itemsize, const void *z, const void *target, fnn_size n, double scale, void *grad,
                     const double *parameters) {
    const row r = {itemsize, n, z, target, grad, scale, parameters};
    return losses[kind](&r);
}
