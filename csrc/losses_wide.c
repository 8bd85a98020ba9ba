/* losses_wide.c: every loss of a row with its gradient, in double and one entry after the other, for rows whose loss is not
 * finite in the type of their outputs.
 *
 * Sums that overflow in float have their values here.  Infinite outputs have the limits of loss and gradient, as no product of
 * 0 and infinity is computed.  Where the limit does not exist, as with two logits of infinity, the result is NaN; also where an
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

static void store_gradient(const row *r, fnn_size i, double slope) {
    if (!r->grad) return;
    if (r->itemsize == sizeof(float))
        ((float *)r->grad)[i] = (float)(slope * r->scale);
    else
        ((double *)r->grad)[i] = slope * r->scale;
}

static double positive_part(double x) { return x < 0 ? 0 : x; } /* max(x, 0); NaN for NaN */

/* a b, and 0 for a = 0 also where b is infinite */
static double product(double a, double b) { return a == 0 && !isnan(b) ? 0 : a * b; }

static double softplus(double x) { return positive_part(x) + log1p(exp(-fabs(x))); }

static double sigmoid(double x) {
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* ---- classes ---- */

typedef struct {
    const row *r;
    int by_label;
    fnn_size label;
    double weight; /* the factor of all class weights */
} classes;

static classes classes_of(const row *r, int by_label) {
    classes c = {.r = r, .by_label = by_label, .label = by_label ? (fnn_size) * (const int64_t *)r->target : -1, .weight = 1};
    if (by_label && r->parameters) c.weight = 1 / r->parameters[1 + c.label];
    return c;
}

/* The target's value u for class i, as in losses.inc.c */
static double target_of(const classes *c, fnn_size i) {
    const double t = c->by_label ? i == c->label : load(c->r, c->r->target, i), *p = c->r->parameters;
    return p ? p[1 + i] * c->weight * ((1 - p[0]) * t + p[0] / (double)c->r->n) : t;
}

static double entropy(const row *r, int by_label) {
    const classes c = classes_of(r, by_label);
    double top = -INFINITY, sum = 0, sum_u = 0, loss = 0;
    fnn_size infinities = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        const double z = load(r, r->z, i);
        top = z > top ? z : top;
        infinities += z == INFINITY;
    }
    /* z less the largest.  A single logit of infinity has probability 1. */
#define BELOW(z) (infinities == 1 && (z) == top ? 0 : (z) - top)
    for (fnn_size i = 0; i < r->n; i++) sum += exp(BELOW(load(r, r->z, i))), sum_u += target_of(&c, i);
    for (fnn_size i = 0; i < r->n; i++) {
        const double below = BELOW(load(r, r->z, i)), u = target_of(&c, i);
        loss += product(u, log(sum) - below);
        store_gradient(r, i, exp(below) / sum * sum_u - u);
    }
#undef BELOW
    return loss;
}

static double cross_entropy_labels(const row *r) { return entropy(r, 1); }
static double cross_entropy(const row *r) { return entropy(r, 0); }
static double log_loss_labels(const row *r) { return clamp_loss(entropy(r, 1), r->itemsize); }

static double multi_margin(const row *r) {
    const fnn_size label = (fnn_size) * (const int64_t *)r->target;
    const double score = load(r, r->z, label), p = r->parameters[0], margin = r->parameters[1];
    double loss = 0, slopes = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        if (i == label) continue;
        const double h = positive_part(margin - score + load(r, r->z, i)), slope = p == 2 ? 2 * h : h > 0 ? 1 : h;
        loss += p == 2 ? h * h : h;
        slopes += slope;
        store_gradient(r, i, slope);
    }
    store_gradient(r, label, -slopes);
    return loss;
}

/* ---- losses that are a sum of terms, one for each column: name_term returns a term and sets *d to its derivative in z ---- */

typedef double (*term)(const row *r, fnn_size i, double z, double t, double *d);

/* The sum of all terms.  Each target belongs to `outputs` columns of z. */
static double columns(const row *r, term f, fnn_size outputs) {
    double loss = 0;
    for (fnn_size i = 0; i < r->n; i++) {
        double d;
        loss += f(r, i, load(r, r->z, i), load(r, r->target, i / outputs), &d);
        store_gradient(r, i, d);
    }
    return loss;
}
#define COLUMNS(name) \
    static double name(const row *r) { return columns(r, name##_term, 1); }

static double binary_cross_entropy_term(const row *r, fnn_size i, double z, double t, double *d) {
    const double yes = (r->parameters ? r->parameters[i] : 1) * t, no = 1 - t;
    *d = r->parameters ? no - (no + yes) * sigmoid(-z) : sigmoid(z) - t;
    return product(yes, softplus(-z)) + product(no, softplus(z));
}
COLUMNS(binary_cross_entropy)

static double log_loss_term(const row *r, fnn_size i, double z, double t, double *d) {
    return clamp_loss(binary_cross_entropy_term(r, i, z, t, d), r->itemsize);
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
    const int infinite = rate == INFINITY; /* the limit of the loss: the rate outweighs the other term */
    if (p[0] != 0) {
        *d = rate - t;
        return (infinite ? rate : rate - product(t, z)) + constant;
    }
    *d = 1 - (t == 0 && rate == 0 ? 0 : t / rate);
    return (infinite ? rate : z - product(t, log(rate))) + constant;
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
    const double h = positive_part(1 - t * z);
    *d = h > 0 ? -t : h;
    return h;
}
COLUMNS(hinge)

static double squared_hinge_term(const row *r, fnn_size i, double z, double t, double *d) {
    (void)r, (void)i;
    const double h = positive_part(1 - t * z);
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
